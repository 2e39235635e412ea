"""How the pool's size follows trials and tasks: single decisions, and sweeps on clusters that are simulated."""

import random

import pytest

from orchestrator.config.sweep_config import PoolResources, ProcessResources, Resources
from orchestrator.executors.ray.placement import Node
from orchestrator.executors.ray.sizing import LONG_IDLE, NEW_NODE, Decision, decide
from orchestrator.executors.ray.snapshot import Actor, ActorState, Snapshot
from tests.orchestrator.executors.ray.simulated_cluster import (
    LOOK_SECONDS,
    START_SECONDS,
    STUCK_SECONDS,
    SimulatedTrial,
    Simulation,
)

STARTING, IDLE, BUSY = ActorState


def resources(trial: tuple[float, float], actor: tuple[float, float]) -> Resources:
    return Resources(
        trial=ProcessResources(cpus=trial[0], gpus=trial[1]), pool=PoolResources(cpus=actor[0], gpus=actor[1])
    )


ONE_CORE = resources((1, 0), (1, 0))
GPUS = resources((4, 1), (1, 0.25))


def test_the_pool_takes_what_trials_leave_and_no_more_than_there_are_tasks() -> None:
    nodes = (Node("a", 2, 0), Node("b", 1, 0))
    assert len(decide(ONE_CORE, Snapshot(nodes, trials=0, tasks=2, actors=())).start) == 2
    assert sorted(decide(ONE_CORE, Snapshot(nodes, trials=0, tasks=9, actors=())).start) == ["a", "a", "b"]
    assert len(decide(ONE_CORE, Snapshot(nodes, trials=1, tasks=9, actors=())).start) == 2
    assert decide(ONE_CORE, Snapshot(nodes, trials=9, tasks=9, actors=())) == Decision()


def test_what_is_too_small_for_a_trial_is_used_while_trials_wait() -> None:
    seen = Snapshot((Node("a", 3, 0), Node("b", 1.5, 0)), trials=9, tasks=9, actors=())
    assert sorted(decide(resources((4, 0), (1, 0)), seen).start) == ["a", "a", "a", "b"]


def test_actors_are_given_back_for_the_trials_that_wait_idle_ones_first() -> None:
    actors = (Actor(1, "a", BUSY), Actor(2, "a", IDLE), Actor(3, "b", STARTING))
    nodes = (Node("a", 0, 0), Node("b", 0, 0))
    assert decide(ONE_CORE, Snapshot(nodes, 1, 5, actors)).give_back in ({2}, {3})
    assert decide(ONE_CORE, Snapshot(nodes, 2, 5, actors)).give_back == {2, 3}
    assert decide(ONE_CORE, Snapshot(nodes, 9, 5, actors)) == Decision((), frozenset({1, 2, 3}))
    assert decide(ONE_CORE, Snapshot(nodes, 0, 5, actors)) == Decision(longest_first=True)


def test_the_actors_of_one_gpu_are_given_back_together_and_none_of_another() -> None:
    on_two = tuple(Actor(key, "a", BUSY, part=key % 2) for key in range(6))
    node = Node("a", 8, 0.5, parts=(0.25, 0.25))
    assert decide(GPUS, Snapshot((node,), 1, 9, on_two)).give_back in ({0, 2, 4}, {1, 3, 5})
    left = tuple(each for each in on_two if each.key not in (0, 2))  # two of them have ended since
    assert decide(GPUS, Snapshot((Node("a", 10, 1, parts=(0.75, 0.25)),), 1, 9, left)) == Decision((), frozenset({4}))


def test_the_rests_of_several_gpus_are_no_room_for_a_trial() -> None:
    """Half of each is free, together a whole one; the trial waits for one GPU, and the pool must not fill it up."""
    actors = tuple(Actor(key, "a", IDLE, part=key // 2) for key in range(4))
    decision = decide(GPUS, Snapshot((Node("a", 8, 1, parts=(0.5, 0.5)),), 1, 20, actors))
    assert decision.give_back in ({0, 1}, {2, 3})
    assert decision.start == ("a", "a")


def test_trials_that_wait_beside_room_that_is_none_get_a_whole_node() -> None:
    actors = (Actor(1, "a", BUSY), Actor(2, "a", BUSY), Actor(3, "b", IDLE))
    seen = Snapshot((Node("a", 1, 0), Node("b", 1, 0)), 1, 0, actors, stuck=True)
    assert decide(ONE_CORE, seen).give_back == {3}


def test_an_actor_whose_room_was_taken_or_whose_node_is_gone_is_given_back() -> None:
    actors = (Actor(1, "a", STARTING), Actor(2, "gone", IDLE))
    decision = decide(ONE_CORE, Snapshot((Node("a", -1, 0), Node("b", 1, 0)), 0, 2, actors))
    assert decision == Decision(("b",), frozenset({1, 2}), longest_first=True)


def test_fewer_tasks_than_gpus_get_one_each_and_more_share_them() -> None:
    nodes = (Node("a", 8, 2), Node("b", 8, 2))

    def started(tasks: int, trials: int = 0) -> tuple[int, float | None]:
        decision = decide(GPUS, Snapshot(nodes, trials, tasks, actors=()))
        return len(decision.start), decision.gpus

    assert started(4) == (4, 1.0)
    assert started(5) == (5, 0.5)
    assert started(9) == (9, 0.3333)
    assert started(16) == (16, None)
    assert started(99) == (16, None)
    assert started(2, trials=1) == (2, None)


def test_a_trial_gets_the_gpu_of_an_actor_that_has_it_alone() -> None:
    actors = (Actor(1, "a", IDLE, gpus=1.0), Actor(2, "a", BUSY, part=0), Actor(3, "a", BUSY, part=0))
    assert decide(GPUS, Snapshot((Node("a", 7, 0.5, parts=(0.5,)),), 1, 0, actors)).give_back == {1}


def test_idle_actors_stay_for_a_while() -> None:
    def after(seconds: float, tasks: int = 0) -> frozenset[int]:
        seen = Snapshot((Node("a", 0, 0),), 0, tasks, (Actor(1, "a", IDLE, idle_seconds=seconds),))
        return decide(ONE_CORE, seen).give_back

    assert not after(LONG_IDLE - 1)
    assert after(LONG_IDLE + 1) == {1}
    assert not after(LONG_IDLE + 1, tasks=1)


def test_a_machine_is_asked_for_where_no_other_has_room_or_the_work_is_worth_it() -> None:
    full = (Node("a", 0, 0),)
    busy = (Actor(1, "a", BUSY),)
    assert decide(ONE_CORE, Snapshot((), 0, 5, (), absent=2)).start == ("", "")
    assert decide(ONE_CORE, Snapshot(full, 0, 5, busy, NEW_NODE / 2, absent=2)).start == ()
    assert decide(ONE_CORE, Snapshot(full, 0, 5, busy, NEW_NODE * 2, absent=2)).start == ("", "")
    assert decide(ONE_CORE, Snapshot((), 1, 5, (), absent=2)).start == ()  # the trial asks for one itself
    assert decide(ONE_CORE, Snapshot((), 1, 5, (Actor(1, "", STARTING),), absent=1)).give_back == {1}


def some_setting(number: int) -> Simulation:
    """Trials and actors of drawn sizes, on nodes of which some are lost and come back."""
    draw = random.Random(number)
    cpus, gpus = (0.25, 0.5, 0.75, 1, 1, 2, 3, 4), (0, 0, 0, 0.1, 0.25, 0.3, 0.5, 0.6, 1, 1, 2)
    nodes = [
        Node(str(each), draw.choice((0.5, 1, 2, 4, 8)), draw.choice((0, 0, 1, 2, 4)))
        for each in range(draw.choice((1, 2, 3)))
    ]

    def process() -> tuple[float, float]:
        while True:
            size = draw.choice(cpus), draw.choice(gpus)
            if any(node.holds(ProcessResources(cpus=size[0], gpus=size[1])) for node in nodes):
                return size

    trials = [
        SimulatedTrial(
            draw.choice((0, 1, 1)) * draw.uniform(1, 100),
            tuple(draw.uniform(1, 60) for _ in range(draw.choice((1, 2)))),
            draw.choice((0, draw.uniform(0, 90))),
        )
        for _ in range(draw.randint(1, 5))
    ]
    changes = []
    for node in nodes:
        if draw.random() < 0.5:
            lost = draw.uniform(0, 150)
            changes += [(lost, node.node_id, False), (lost + draw.uniform(1, 50), node.node_id, True)]
    named = {node.node_id: node for node in nodes}
    return Simulation(resources(process(), process()), named, trials, draw, changes=changes)


@pytest.mark.parametrize("block", range(4))
def test_every_sweep_ends_at_any_setting_and_no_trial_waits_longer_than_a_task(block: int) -> None:
    """2 000 settings in all; `Simulation` checks at every step that nothing is used twice."""
    waited = 0
    for number in range(500 * block, 500 * (block + 1)):
        sweep = some_setting(number)
        sweep.run(limit=5000)
        assert sweep.worst_wait <= sweep.longest_task + START_SECONDS + LOOK_SECONDS + STUCK_SECONDS, number
        waited += sweep.worst_wait > 0
    assert waited > 20
