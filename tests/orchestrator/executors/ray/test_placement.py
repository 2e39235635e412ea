"""Pool and trials side by side, at any setting: placed so that a trial always has room, or refused with the numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.sweep_config import PoolResources, ProcessResources, Resources
from orchestrator.errors import UsageError
from orchestrator.executors.ray.placement import Node, place_largest_pool, place_pool


def resources(trial: tuple[float, float], pool: tuple[int, float, float]) -> Resources:
    return Resources(
        trial=ProcessResources(cpus=trial[0], gpus=trial[1]),
        pool=PoolResources(actors=pool[0], cpus=pool[1], gpus=pool[2]),
    )


def test_pool_and_a_trial_must_fit_side_by_side() -> None:
    wanted = resources((0.5, 0), (1, 0.5, 0))
    assert place_pool(wanted, [Node("a", 1, 0)]) == ["a"]
    with pytest.raises(UsageError, match=r"pool \(1 actors\) takes 0.5 CPUs and a trial 0.5, together 1; .* has 0.9"):
        place_pool(wanted, [Node("a", 0.9, 0)])


def test_gpus_that_are_not_there_are_refused() -> None:
    with pytest.raises(UsageError, match=r"takes 0.5 GPUs and a trial 1, together 1.5; the cluster has 0"):
        place_pool(resources((1, 1), (2, 1, 0.25)), [Node("a", 8, 0)])


def test_what_fits_in_sum_but_on_no_node_is_refused() -> None:
    with pytest.raises(UsageError, match=r"1 actors of 1 CPUs, 0 GPUs and a trial of 6 CPUs, 0 GPUs .* 2 × \(4 CPUs"):
        place_pool(resources((6, 0), (1, 1, 0)), [Node("a", 4, 0), Node("b", 4, 0)])


def test_actors_share_a_node_where_spreading_them_would_leave_no_room_for_a_trial() -> None:
    assert place_pool(resources((4, 0), (2, 1, 0)), [Node("a", 4, 0), Node("b", 4, 0)]) in (["a", "a"], ["b", "b"])


def test_the_pool_shrinks_to_what_leaves_room_for_a_trial() -> None:
    wanted = resources((0.5, 0), (3, 0.5, 0))
    assert place_largest_pool(wanted, [Node("a", 1, 0), Node("b", 1, 0)]) == place_pool(
        wanted, [Node("a", 1, 0), Node("b", 1, 0)]
    )
    assert place_largest_pool(wanted, [Node("a", 1, 0)]) == ["a"]
    assert place_largest_pool(wanted, [Node("a", 0.5, 0)]) == []


def test_actors_that_need_no_gpu_go_where_there_is_none() -> None:
    nodes = [Node("gpu", 8, 1), Node("plain", 8, 0)]
    assert place_pool(resources((4, 1), (2, 1, 0)), nodes) == ["plain", "plain"]


amounts = st.integers(0, 16).map(lambda quarters: quarters / 4)


@given(
    trial=st.tuples(amounts.filter(bool), amounts),
    pool=st.tuples(st.integers(1, 5), amounts.filter(bool), amounts),
    shapes=st.lists(st.tuples(amounts, amounts), max_size=4),
)
def test_a_pool_that_is_placed_leaves_room_for_a_trial(
    trial: tuple[float, float], pool: tuple[int, float, float], shapes: list[tuple[float, float]]
) -> None:
    wanted = resources(trial, pool)
    nodes = {str(number): Node(str(number), *shape) for number, shape in enumerate(shapes)}
    try:
        places = place_pool(wanted, list(nodes.values()))
    except UsageError as error:
        assert "Lower resources.pool or resources.trial" in str(error)  # noqa: PT017
        return
    assert len(places) == pool[0]
    for place in places:
        assert nodes[place].holds(wanted.pool)
        nodes[place] = nodes[place].without(wanted.pool)
    assert any(node.holds(wanted.trial) for node in nodes.values())
