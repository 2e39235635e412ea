"""Sweeps under fire: a process is killed at a random moment, again and again, and nothing may be lost or done twice.

    python benchmarks/faults.py 100              # kills; about 60 an hour on two cores
    python benchmarks/faults.py 20 --seed 3 --seconds 600

Each round runs a sweep of four trials on a cluster of two nodes on this machine and kills one victim; afterwards all
must be measured, with the same bits as in a sweep that was left alone, and once in MLflow. Ends with 1 where one round
did not hold, after a table by victim.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.sweeps_under_fire import Fire, Victim, check_same, open_cluster


def main() -> int:
    """Kill, check, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int, nargs="?", default=12, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of victims and moments")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no round after this long")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    kills, held, missed = Counter[Victim](), Counter[Victim](), Counter[Victim]()
    runs: dict[Victim, list[int]] = {victim: [] for victim in Victim}
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="renyi-faults-") as scratch:
        reference = Fire(Path(scratch) / "reference", moments)
        process = reference.start("--executor", "inline")
        output, _ = process.communicate()
        assert process.returncode == 0, output
        victims = list(Victim)
        number = 0
        while sum(kills.values()) < arguments.kills and time.monotonic() - started < arguments.seconds:
            victim = victims[number % len(victims)]
            number += 1
            fire = Fire(Path(scratch) / f"fire{number}", moments)
            fire.cluster = open_cluster(fire.environment)
            try:
                process = fire.start()
                if not fire.strike(victim, process):
                    missed[victim] += 1
                    process.communicate()
                    continue
                kills[victim] += 1
                runs[victim].append(fire.finish(process))
                check_same(fire, reference)
                held[victim] += 1
            except AssertionError as error:
                print(f"{victim}: {error}", flush=True)
            finally:
                fire.close()
    print(f"{'victim':20} {'kills':>6} {'all held':>9} {'most runs':>10}   (over before the kill)")
    for victim in Victim:
        most = max(runs[victim], default=0)
        print(f"{victim.value:20} {kills[victim]:6} {held[victim]:9} {most:10}   ({missed[victim]})")
    print(f"{'all':20} {kills.total():6} {held.total():9}   in {(time.monotonic() - started) / 60:.0f} min")
    return int(held.total() < kills.total())


if __name__ == "__main__":
    sys.exit(main())
