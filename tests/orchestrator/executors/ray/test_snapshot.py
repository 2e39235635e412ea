"""What is left of a node, from figures that lag behind and actors of which not all is known."""

import pytest

from orchestrator.config.sweep_config import PoolResources, ProcessResources, Resources
from orchestrator.executors.ray.placement import Node
from orchestrator.executors.ray.snapshot import Actor, ActorState, Demand, Snapshot, survey

STARTING, IDLE, BUSY = ActorState
CORES = Resources(trial=ProcessResources(cpus=2), pool=PoolResources(cpus=1))
GPUS = Resources(trial=ProcessResources(cpus=4, gpus=1), pool=PoolResources(cpus=1, gpus=0.25))


def look(resources: Resources, node: Node, unused: tuple[float, float] | None, trials: int, *actors: Actor) -> Snapshot:
    reported = {} if unused is None else {node.node_id: unused}
    return survey(resources, [node], reported, {node.node_id: trials}, actors, Demand(3, 2, 10.0))


def test_trials_and_actors_are_counted_where_ray_does_not_know_them_yet() -> None:
    seen = look(CORES, Node("a", 8, 0), (8, 0), 2, Actor(1, "a", STARTING))
    assert seen.nodes == (Node("a", 3, 0),)
    assert (seen.trials, seen.tasks, seen.task_seconds) == (3, 2, 10.0)


def test_what_others_use_is_not_free() -> None:
    assert look(CORES, Node("a", 8, 0), (1, 0), 2).nodes == (Node("a", 1, 0),)
    assert look(CORES, Node("a", 8, 0), None, 2).nodes == (Node("a", 4, 0),)


def test_room_that_was_promised_twice_is_negative() -> None:
    assert look(CORES, Node("a", 4, 0), (0, 0), 2, Actor(1, "a", STARTING)).nodes[0].cpus == -1


def test_each_gpu_that_actors_share_is_known_with_what_is_left_of_it() -> None:
    actors = (Actor(1, "a", BUSY, gpu="3"), Actor(2, "a", BUSY, gpu="0"), Actor(3, "a", IDLE, gpu="3"))
    seen = look(GPUS, Node("a", 32, 4), (17, 1.25), 2, *actors)
    (node,) = seen.nodes
    parts = {actor.key: actor.part for actor in seen.actors}
    assert parts[1] == parts[3] != parts[2]
    assert {key: node.parts[part] for key, part in parts.items() if part is not None} == {1: 0.5, 2: 0.75, 3: 0.5}
    assert not node.holds(GPUS.trial)
    assert node.after(GPUS.pool, parts[2]).holds(GPUS.trial)


def test_an_actor_that_starts_is_where_ray_will_put_it() -> None:
    seen = look(GPUS, Node("a", 32, 2), None, 0, Actor(1, "a", IDLE, gpu="1"), Actor(2, "a", STARTING))
    assert [actor.part for actor in seen.actors] == [0, 0]
    assert seen.nodes[0].parts == (0.5,)
    assert seen.nodes[0].gpus == 1.5


def test_an_actor_with_a_gpu_of_its_own_shares_none() -> None:
    seen = look(GPUS, Node("a", 32, 2), None, 0, Actor(1, "a", BUSY, gpu="0", gpus=1.0), Actor(2, "a", BUSY, gpu="1"))
    assert {actor.key: actor.part for actor in seen.actors} == {1: None, 2: 0}
    assert seen.nodes[0].gpus == pytest.approx(0.75)
    assert seen.nodes[0].parts == pytest.approx((0.75,))


def test_actors_of_nodes_that_are_gone_are_still_told() -> None:
    seen = survey(CORES, [], {}, {}, [Actor(1, "gone", IDLE), Actor(2, "", STARTING)], Demand())
    assert [actor.key for actor in seen.actors] == [1, 2]
