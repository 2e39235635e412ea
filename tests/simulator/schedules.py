"""Run schedules: `python -m tests.simulator.schedules --count 100000 --processes 2`.

A schedule is a scenario, a storage and a list of choices. One that fails is made shorter and printed, to be kept in
`test_found_schedules.py`.
"""

import argparse
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.simulator import leases, sweeps, trials
from tests.simulator.choices import Choices, shrunk
from tests.simulator.stores import KINDS, numbered_names
from tests.simulator.world import Faults, SimulationError, World

Scenario = Callable[[World, str], None]

# By name: what happens, what may go wrong on a storage of a kind, and how many of twenty schedules it gets.
SCENARIOS: dict[str, tuple[Scenario, Callable[[str], Faults], int]] = {
    "leases": (leases.contend, leases.faults_of, 10),
    "trials": (trials.replace_each_other, trials.faults_of, 9),
    "sweeps": (sweeps.run_again_and_again, sweeps.faults_of, 1),
}
PART = 100  # schedules that a process gets at once
_TURNS = [name for name, (_, _, share) in SCENARIOS.items() for _ in range(share)]


@dataclass(frozen=True)
class Failed:
    """A schedule in which something was wrong."""

    scenario: str
    kind: str
    seed: int
    what: str
    choices: list[int]


def play(scenario: str, kind: str, choices: Choices, log: list[str] | None = None) -> str:
    """Run one schedule; what was wrong, empty if nothing was."""
    run, faults_of, _ = SCENARIOS[scenario]
    world = World(choices, faults_of(kind))
    world.logged = log is not None
    try:
        with numbered_names():
            run(world, kind)
    except SimulationError as error:
        return str(error)
    finally:
        if log is not None:
            log.extend(world.log)
    return ""


def of_seed(seed: int) -> tuple[str, str]:
    """The scenario and the storage of a seed."""
    return _TURNS[seed % len(_TURNS)], KINDS[seed // len(_TURNS) % len(KINDS)]


def failures(seeds: Sequence[int]) -> Iterator[Failed]:
    """The schedules of these seeds in which something was wrong."""
    for seed in seeds:
        scenario, kind = of_seed(seed)
        choices = Choices(seed)
        what = play(scenario, kind, choices)
        if what:
            yield Failed(scenario, kind, seed, what, choices.made)


def shortened(failed: Failed) -> list[int]:
    """Fewer choices with which the same is wrong."""
    begin = failed.what[:20]
    return shrunk(
        lambda given: play(failed.scenario, failed.kind, Choices(given=given))[:20] == begin, failed.choices, 300
    )


def _part(seeds: Sequence[int]) -> tuple[int, list[Failed], float]:
    cores = sorted(os.sched_getaffinity(0))  # a token that is handed to another core takes twice as long
    number = int(multiprocessing.current_process().name.rpartition("-")[2])
    os.sched_setaffinity(0, {cores[number % len(cores)]})
    started = time.process_time()
    return len(seeds), list(failures(seeds)), time.process_time() - started


def main() -> None:
    """Run many schedules in several processes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seconds", type=float, default=300.0, help="after which no more are started")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--shorten", action="store_true", help="print the shortest list of choices of each failure")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.count)
    started = time.monotonic()
    done, used, failed = 0, 0.0, list[Failed]()
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        parts = [seeds[start : start + PART] for start in range(0, len(seeds), PART)]
        for count, found, seconds in pool.imap_unordered(_part, parts):
            done, used = done + count, used + seconds
            failed += found
            if time.monotonic() - started > options.seconds:
                pool.terminate()
                break
    failed.sort(key=lambda each: each.seed)
    print(f"{done} schedules in {time.monotonic() - started:.0f} s, {used:.0f} s of processor time")
    print(f"{len(failed)} failed" + (f", the first with seed {failed[0].seed}" if failed else ""))
    for what, count in Counter(f"{each.scenario}, {each.kind}: {each.what[:100]}" for each in failed).most_common(20):
        print(f"{count:6}  {what}")
    if options.shorten:
        for each in failed[:5]:
            print(f"{each.seed}: ({each.scenario!r}, {each.kind!r}, {shortened(each)})  # {each.what[:100]}")


if __name__ == "__main__":
    main()
