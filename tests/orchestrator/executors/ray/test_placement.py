"""Pool and trials side by side, at any setting: placed so that a trial always has room, or refused with the numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.sweep_config import PoolResources, ProcessResources, Resources
from orchestrator.errors import UsageError
from orchestrator.executors.ray.placement import Node, check_fit, place_largest_pool, place_pool


def resources(trial: tuple[float, float], pool: tuple[int, float, float]) -> Resources:
    return Resources(
        trial=ProcessResources(cpus=trial[0], gpus=trial[1]),
        pool=PoolResources(actors=pool[0], cpus=pool[1], gpus=pool[2]),
    )


GPU_ACTOR = ProcessResources(gpus=0.6)


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


gpu_shares = st.sampled_from((0, 0.25, 0.3, 0.5, 0.6, 0.75, 1, 2))  # Ray knows no others above one


def test_rests_of_gpus_do_not_add_up() -> None:
    node = Node("a", 8, 2)
    shared = node.without(GPU_ACTOR).without(GPU_ACTOR)  # 0.6 of each GPU
    assert shared.gpus == pytest.approx(0.8)
    assert list(shared.parts) == pytest.approx([0.4, 0.4])
    assert not shared.holds(ProcessResources(gpus=0.7))
    assert shared.holds(ProcessResources(gpus=0.4))
    assert shared.after(GPU_ACTOR, 0).holds(ProcessResources(gpus=1))
    with pytest.raises(UsageError, match="can't run side by side"):
        place_pool(resources((1, 0.7), (2, 1, 0.6)), [node])
    assert place_pool(resources((1, 0.4), (2, 1, 0.6)), [node]) == ["a", "a"]


def test_a_part_goes_where_the_least_is_left_that_suffices() -> None:
    quarter = ProcessResources(gpus=0.25)
    node = Node("a", 8, 2.25, parts=(0.5, 0.75))
    assert node.part_for(quarter) == 0
    assert node.without(quarter).parts == (0.25, 0.75)
    assert node.without(ProcessResources(gpus=0.8)).parts[2] == pytest.approx(0.2)
    assert node.room(quarter) == 8  # as many as cores


def test_a_pool_of_no_fixed_size_needs_no_room_beside_a_trial() -> None:
    wanted = Resources(trial=ProcessResources(cpus=4, gpus=1), pool=PoolResources(cpus=1, gpus=0.25))
    check_fit(wanted, [Node("a", 4, 1)])
    check_fit(Resources(trial=ProcessResources(gpus=1)), [Node("gpu", 4, 1), Node("plain", 4, 0)])
    with pytest.raises(UsageError) as error:
        check_fit(wanted, [Node("a", 2, 0), Node("b", 2, 0)])
    assert error.value.problems == (
        "resources: a trial takes 4 CPUs, 1 GPUs; no node has room for that in 2 × (2 CPUs, 0 GPUs). "
        "Lower resources.trial",
        "resources: a measuring actor takes 1 CPUs, 0.25 GPUs; no node has room for that in 2 × (2 CPUs, 0 GPUs). "
        "Lower resources.pool",
    )


amounts = st.integers(0, 16).map(lambda quarters: quarters / 4)


@given(
    trial=st.tuples(amounts.filter(bool), gpu_shares),
    pool=st.tuples(st.integers(1, 5), amounts.filter(bool), gpu_shares),
    shapes=st.lists(st.tuples(amounts, st.integers(0, 4)), max_size=4),
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
