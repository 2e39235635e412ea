"""Sweeps under fire: processes are killed at random moments, one after another, and nothing may be lost or done twice.

    python benchmarks/faults.py 100              # kills; about 200 an hour on two cores that do nothing else
    python benchmarks/faults.py 24 --seed 3 --seconds 600

Each round is one sweep of twelve trials on a cluster of two nodes on this machine. Its driver, its training workers,
its measuring actors, the second node and the head are killed in random order, fourteen times in all; the command is
run again whenever it ended with them. When it is done, every trial must be measured, with the same bits as in a sweep
in which nothing was killed, and be one run in MLflow, with every step of every metric once. If a round does not hold,
its traceback is printed and its folder is kept, and the exit code is 1.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.faults.sweeps_under_fire import Fire, Victim, besiege, check_same, in_some_order

SEEDS = 3  # of four trials each
ORDERS = 2  # in which everyone is killed once, to a round


def main() -> int:
    """Kill, check, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int, nargs="?", default=12, help="how many; the last round is finished")
    parser.add_argument("--seed", type=int, default=0, help="of victims and moments")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no round after this long")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    kills, held, rounds, lost = Counter[Victim](), Counter[Victim](), 0, 0
    folder = Path(tempfile.mkdtemp(prefix="renyi-faults-"))
    reference = Fire(folder / "reference", moments, seeds=SEEDS)
    reference.start("--executor", "inline")
    reference.finish()
    started = time.monotonic()
    while kills.total() < arguments.kills and time.monotonic() - started < arguments.seconds:
        rounds += 1
        fire = Fire(folder / f"round{rounds}", moments, seeds=SEEDS)
        holds = hold(fire, reference, [victim for _ in range(ORDERS) for victim in in_some_order(moments)])
        kills.update(fire.killed)
        if holds:
            held.update(fire.killed)
            shutil.rmtree(fire.folder)
        lost += not holds
        minutes = (time.monotonic() - started) / 60
        print(f"round {rounds}, minute {minutes:.1f}: {'held' if holds else 'DID NOT HOLD'}: {', '.join(fire.killed)}")
        sys.stdout.flush()
    print(f"{'victim':20} {'kills':>6} {'all held':>9}")
    for victim in Victim:
        print(f"{victim.value:20} {kills[victim]:6} {held[victim]:9}")
    minutes = (time.monotonic() - started) / 60
    print(f"{'all':20} {kills.total():6} {held.total():9}   in {minutes:.0f} min, {rounds} sweeps, {lost} lost")
    if lost:
        print(f"what did not hold is kept in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def hold(fire: Fire, reference: Fire, victims: list[Victim]) -> bool:
    """Whether a sweep comes out as it should while everyone is killed."""
    try:
        besiege(fire, victims)
        fire.finish()
        check_same(fire, reference)
    except Exception:  # noqa: BLE001 - any error is printed, and the other rounds continue
        traceback.print_exc()
        return False
    finally:
        fire.close()
    return True


if __name__ == "__main__":
    sys.exit(main())
