"""A few hundred schedules of leases, claims, retry queue and tracker; `schedules.py` runs as many as wanted."""

import pytest

from tests.simulator import leases
from tests.simulator.choices import Choices, every, shrunk
from tests.simulator.schedules import failures, of_seed, play
from tests.simulator.stores import KINDS, numbered_names
from tests.simulator.world import CRASH, Faults, SimulationError, World


def test_whatever_happens_nothing_is_lost_and_nothing_done_twice() -> None:
    assert list(failures(range(300))) == []


def test_a_seed_is_one_schedule_and_so_are_its_choices() -> None:
    for seed in (0, 10, 19):
        scenario, kind = of_seed(seed)
        logs: list[list[str]] = [[], [], []]
        first = Choices(seed)
        play(scenario, kind, first, logs[0])
        play(scenario, kind, Choices(seed), logs[1])
        play(scenario, kind, Choices(given=first.made), logs[2])
        assert len(logs[0]) > 20
        assert logs[0] == logs[1] == logs[2]


@pytest.mark.parametrize("kind", KINDS)
def test_two_drivers_of_a_lease_with_one_mishap_at_every_step(kind: str) -> None:
    """Every schedule in which one thing happens: one of two drivers is killed, stands still, or lets others go on."""
    faults = Faults((0.01, 2.0), (CRASH, 25.0 if kind == "objects" else 100.0), 3, 1, until=60.0)
    found: list[str] = []

    def run(choices: Choices) -> None:
        world = World(choices, faults)
        try:
            with numbered_names():
                leases.two_at_once(world, kind)
        except SimulationError as error:
            found.append(f"{error}: {choices.made}")

    schedules = sum(1 for _ in every(run, budget=1))
    assert found == []
    assert schedules > 50


def test_every_finds_the_one_failing_choice_and_it_is_shrunk() -> None:
    def fails(given: "list[int] | tuple[int, ...]") -> bool:
        return len(given) > 3 and given[3] == 2

    seen: list[list[int]] = []

    def run(choices: Choices) -> None:
        seen.append([choices.draw(3) for _ in range(5)])

    assert len(list(every(run, budget=2))) == len(seen) == 1 + 5 * 2 + 10 * 4
    assert sum(fails(made) for made in seen) == 1 + 4 * 2
    assert shrunk(lambda made: fails(list(made)), [1, 2, 2, 2, 1]) == [0, 0, 0, 2]
