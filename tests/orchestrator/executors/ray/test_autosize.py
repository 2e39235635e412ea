"""What Ray reports of a small cluster, and what is decided from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
import ray

from orchestrator.config.sweep_config import PoolResources, ProcessResources, Resources
from orchestrator.executors.ray.autosize import AutoSize
from orchestrator.executors.ray.nodes import placed_trials, unused
from orchestrator.executors.ray.snapshot import Demand
from orchestrator.executors.ray.tuner import Tuning, bundle_of
from tests.local_ray import local_ray

pytestmark = pytest.mark.ray

RESOURCES = Resources(trial=ProcessResources(cpus=1), pool=PoolResources(actors="auto", cpus=0.5))


@dataclass
class Waiting:
    """A Tuner with trials that have not ended."""

    untrained: int


def auto(untrained: int, **changed: Any) -> AutoSize:
    resources = RESOURCES.model_copy(update=changed)
    return AutoSize(resources, tuning=cast(Tuning, Waiting(untrained)))


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    with local_ray() as node_id:
        yield node_id


def test_trials_take_what_they_need_first(node: str) -> None:
    demand = Demand(tasks=9)
    assert unused()[node][0] == 2
    assert auto(0)([], demand).start == (node,) * 4
    assert auto(1)([], demand).start == (node,) * 2
    assert auto(5)([], demand).start == ()
    assert auto(5, max_concurrent=1)([], demand).start == (node,) * 2
    assert AutoSize(RESOURCES, avoided={node})([], demand).start == ()


def test_a_trial_that_has_a_place_does_not_wait_for_another(node: str) -> None:
    bundle = {name: amount for name, amount in bundle_of(RESOURCES.trial).items() if amount}
    group = ray.util.placement_group([bundle])
    ray.get(group.ready())
    assert placed_trials(bundle_of(RESOURCES.trial)) == {node: 1}
    assert placed_trials({"CPU": 2.0}) == {}
    decisions = [auto(untrained)([], Demand(tasks=9)).start for untrained in (1, 2)]
    ray.util.remove_placement_group(group)
    assert decisions == [(node,) * 2, ()]
