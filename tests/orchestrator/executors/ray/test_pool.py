"""The pool of measuring actors on a local Ray: its queue, its growth, lost actors, and a task that ends its process."""

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.sweep_config import PoolResources, SweepConfig
from orchestrator.events import Event, MeasuringEnded, MeasuringStarted, TrialFailed, TrialMeasured
from orchestrator.executors.ray.pool import MeasuringPool, Sizing
from orchestrator.executors.ray.sizing import Decision
from orchestrator.executors.ray.snapshot import Actor, ActorState, Demand
from orchestrator.executors.watched_actor import MAX_PROCESSES
from orchestrator.store.trial_store import MEASURED_FILE, TrialState, TrialStore
from tests.local_ray import local_ray
from trainables.training.device import default_device
from trainables.training.loop import attempt
from trainables.trial.specs import TrialSpec

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    with local_ray() as node_id:
        yield node_id


def train(specs: list[TrialSpec], store: TrialStore) -> None:
    for spec in specs:
        for _ in attempt(spec, store.trial(spec.trial_id), default_device()):
            pass


@pytest.fixture
def trained(specs: list[TrialSpec], store: TrialStore) -> list[TrialSpec]:
    """Two trials that wait for their measurement."""
    train(specs[:2], store)
    return specs[:2]


def pool_of(config: SweepConfig, store: TrialStore, nodes: list[str], **settings: Any) -> MeasuringPool:
    sharpness = config.sharpness.model_copy(update=settings)
    return MeasuringPool(store, sharpness, config.resources.pool, config.data, nodes)


def auto_pool(config: SweepConfig, store: TrialStore, sizing: Sizing) -> MeasuringPool:
    resources = PoolResources(actors="auto", cpus=0.5)
    return MeasuringPool(store, config.sharpness, resources, config.data, sizing=sizing)


def kill_actors() -> None:
    """End the processes of this driver's actors, as a lack of memory would."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            mine = f"\nPPid:\t{raylet()}\n" in (process / "status").read_text()
            if mine and (process / "cmdline").read_bytes().startswith(b"ray::MeasuringActor"):
                os.kill(int(process.name), signal.SIGKILL)


def raylet() -> int:
    """The process that starts those of the local Ray."""
    (number,) = (
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if f"\nPPid:\t{os.getpid()}\n" in (process / "status").read_text()
        and b"raylet/raylet" in (process / "cmdline").read_bytes()
    )
    return number


def events_of(pool: MeasuringPool) -> list[Event]:
    events: list[Event] = []
    while pool.busy:
        events += pool.collect(0.1)
    return events


def test_trials_are_measured_in_the_order_of_their_arrival(
    config: SweepConfig, store: TrialStore, trained: list[TrialSpec], node: str
) -> None:
    pool = pool_of(config, store, [node])
    for spec in trained:
        pool.submit(spec)
    assert pool.wait_until_ready(60)
    expected: list[Event] = []
    for spec in trained:
        trial_id = spec.trial_id
        assert pool.knows(trial_id)
        expected += [
            MeasuringStarted(trial_id, node, "everything"),
            MeasuringEnded(trial_id, node, "everything", succeeded=True),
            TrialMeasured(trial_id),
        ]
    found = events_of(pool)
    assert sorted(map(repr, found)) == sorted(map(repr, expected))
    ended = [event.trial_id for event in found if isinstance(event, TrialMeasured)]
    assert ended == [spec.trial_id for spec in trained]
    assert all(store.state(spec.trial_id) is TrialState.MEASURED for spec in trained)
    pool.resize([])


def test_a_pool_grows_and_shrinks_and_says_whether_it_did(
    config: SweepConfig, store: TrialStore, trained: list[TrialSpec], node: str
) -> None:
    pool = pool_of(config, store, [node])
    assert not pool.resize([node])
    assert pool.resize([node, node])
    assert pool.wait_until_ready(60)
    for spec in trained:
        pool.submit(spec)
    assert pool.resize([node])  # a call of the actor that goes is made again by the one that stays
    found = events_of(pool)
    assert {event.trial_id for event in found if isinstance(event, TrialMeasured)} == {
        spec.trial_id for spec in trained
    }
    pool.resize([])


def test_a_task_that_ends_its_process_every_time_is_given_up(
    config: SweepConfig, store: TrialStore, specs: list[TrialSpec], node: str
) -> None:
    """Its worker is started again for the trials that follow."""
    content = specs[0].model_dump()
    deadly = TrialSpec.model_validate(content | {"optimizer": content["optimizer"] | {"weight_decay": 9.0}})
    train([deadly, specs[0]], store)
    measures = ("tests.faults.deadly.kills_small_weights",)
    pool = pool_of(config, store, [node], measures=measures)
    pool.submit(deadly)
    pool.submit(specs[0])
    found = events_of(pool)
    trial_ids = (deadly.trial_id, specs[0].trial_id)
    assert [event for event in found if isinstance(event, TrialFailed | TrialMeasured)] == [
        TrialFailed(trial_ids[0], node),
        TrialMeasured(trial_ids[1]),
    ]
    ended = [event for event in found if isinstance(event, MeasuringEnded)]
    assert [event.succeeded for event in ended if event.trial_id == deadly.trial_id] == [False]
    measured_so = config.sharpness.model_copy(update={"measures": measures})
    failed = TrialStore(config.folder, measured_so.measurement_id).failure(deadly.trial_id)
    assert failed.reason.startswith(f"the task everything ended its process {MAX_PROCESSES} times: ")
    pool.resize([])


def test_a_measured_trial_is_only_evaluated_under_the_shifts_that_it_lacks(
    config: SweepConfig, store: TrialStore, trained: list[TrialSpec], node: str
) -> None:
    pool = pool_of(config, store, [node])
    pool.submit(trained[0])
    assert isinstance(events_of(pool)[-1], TrialMeasured)
    pool.resize([])
    trial_id = trained[0].trial_id
    measured = store.measurement(trial_id).read(MEASURED_FILE)
    pool = pool_of(config, TrialStore(config.folder, store.measurement_id, ("blur_2",)), [node])
    for spec in trained:
        pool.submit(spec)
    assert {event.trial_id for event in events_of(pool) if isinstance(event, TrialMeasured)} == {
        spec.trial_id for spec in trained
    }
    assert store.measurement(trial_id).read(MEASURED_FILE) == measured
    assert [list(store.trial(spec.trial_id).read_shifts()) for spec in trained] == [["blur_2"], ["blur_2"]]
    pool.resize([])


def test_a_pool_of_no_fixed_size_starts_actors_where_it_is_told_and_gives_them_back(
    config: SweepConfig, store: TrialStore, trained: list[TrialSpec], node: str
) -> None:
    """Asked before each call: an actor that is to be given back gets no further one, though tasks wait."""
    asked: list[tuple[list[ActorState], int]] = []

    def sizing(actors: Sequence[Actor], demand: Demand) -> Decision:
        assert {actor.node_id for actor in actors} <= {node}
        asked.append(([actor.state for actor in actors], demand.tasks))
        idle = [actor for actor in actors if actor.state is ActorState.IDLE]
        if demand.tasks == 1 and idle and first:  # it has done one of the two tasks
            first.clear()
            return Decision(give_back=frozenset({idle[0].key}))
        return Decision(start=(node,) if demand.tasks and not actors else ())

    first = [True]
    pool = auto_pool(config, store, sizing)
    for spec in trained:
        pool.submit(spec)
    found = events_of(pool)
    assert [event.trial_id for event in found if isinstance(event, TrialMeasured)] == [s.trial_id for s in trained]
    assert not first
    assert asked[0] == ([], 2)
    assert ([], 1) in asked  # another actor is started for the second task
    assert all(event.succeeded for event in found if isinstance(event, MeasuringEnded))
    pool.avoid([node], None)


def test_lost_actors_of_such_a_pool_are_forgotten_and_their_calls_made_again(
    config: SweepConfig, store: TrialStore, trained: list[TrialSpec], node: str
) -> None:
    """All die while one has a call: those that were idle get none, and no task is blamed for their death."""

    def sizing(actors: Sequence[Actor], demand: Demand) -> Decision:
        return Decision(start=(node,) * (2 - len(actors)))

    pool = auto_pool(config, store, sizing)
    pool.submit(trained[0])
    found = events_of(pool)
    kill_actors()
    pool.submit(trained[1])
    found += events_of(pool)
    assert {event.trial_id for event in found if isinstance(event, TrialMeasured)} == {s.trial_id for s in trained}
    assert sum(not event.succeeded for event in found if isinstance(event, MeasuringEnded)) <= 1
    pool.avoid([node], None)


def test_a_node_that_is_gone_gets_no_actor(
    config: SweepConfig, store: TrialStore, trained: list[TrialSpec], node: str
) -> None:
    nodes = [node, "ab" * (len(node) // 2)]

    def sizing(actors: Sequence[Actor], demand: Demand) -> Decision:
        return Decision(start=() if actors or not demand.tasks else (nodes.pop(),))

    pool = auto_pool(config, store, sizing)
    pool.submit(trained[0])
    assert isinstance(events_of(pool)[-1], TrialMeasured)
    assert not nodes
    pool.avoid([node], None)
