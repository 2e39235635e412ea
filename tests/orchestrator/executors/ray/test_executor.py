"""A small sweep on a local Ray in this process: Tuner, pool and executor together, by the events that they yield."""

import socket
from collections import defaultdict

import pytest

from orchestrator.config.sweep_config import PoolResources, ProcessResources, Resources, SweepConfig
from orchestrator.events import (
    EpochsDone,
    MeasuringEnded,
    MeasuringStarted,
    TrialFailed,
    TrialMeasured,
    TrialStarted,
    TrialTrained,
)
from orchestrator.executors.ray.executor import RayExecutor
from orchestrator.store.plan import Work
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.trial.specs import TrialSpec

pytestmark = pytest.mark.ray


def test_each_event_names_its_node_and_follows_what_it_reports(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    good, measured_only = specs[:2]
    content = good.model_dump()
    bad = TrialSpec.model_validate(content | {"optimizer": content["optimizer"] | {"learning_rate": 1e6}})
    seen: dict[str, list[object]] = defaultdict(list)
    states = {}
    for event in RayExecutor(config, store).run(Work(to_train=[bad, good, measured_only])):
        assert isinstance(
            event,
            TrialStarted | EpochsDone | TrialTrained | MeasuringStarted | MeasuringEnded | TrialMeasured | TrialFailed,
        )
        seen[event.trial_id].append(event)
        states[type(event), event.trial_id] = store.state(event.trial_id)
    node = socket.gethostname()
    assert seen[bad.trial_id] == [TrialStarted(bad.trial_id, node), TrialFailed(bad.trial_id, node)]
    assert states[TrialFailed, bad.trial_id] is TrialState.FAILED
    for spec in (good, measured_only):
        trial_id = spec.trial_id
        steps = [event for event in seen[trial_id] if not isinstance(event, EpochsDone)]
        assert steps == [
            TrialStarted(trial_id, node),
            TrialTrained(trial_id, node),
            MeasuringStarted(trial_id, node, "everything"),
            MeasuringEnded(trial_id, node, "everything", succeeded=True),
            TrialMeasured(trial_id),
        ]
        assert states[TrialMeasured, trial_id] is TrialState.MEASURED


def test_a_measurement_that_fails_is_a_failure_on_its_node(config: SweepConfig, specs: list[TrialSpec]) -> None:
    sharpness = config.sharpness.model_copy(update={"layers": ("clasifier.weight",)})
    broken = config.model_copy(update={"sharpness": sharpness})
    store = TrialStore(broken.folder, sharpness.measurement_id)
    events = list(RayExecutor(broken, store).run(Work(to_train=specs[:1])))
    node, trial_id = socket.gethostname(), specs[0].trial_id
    assert events[-2:] == [
        MeasuringEnded(trial_id, node, "everything", succeeded=False),
        TrialFailed(trial_id, node),
    ]
    assert "nearest names: classifier.weight" in store.failure(trial_id).reason


@pytest.mark.parametrize("cores", [1, 2])
def test_a_pool_of_no_fixed_size_measures_what_was_trained_on_the_same_cores(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One core too: there, trial and actor have no room side by side."""
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", f'{{"CPU": {cores}}}')
    whole = Resources(trial=ProcessResources(cpus=1), pool=PoolResources(actors="auto", cpus=1))
    events = list(RayExecutor(config.model_copy(update={"resources": whole}), store).run(Work(to_train=specs)))
    ends = [event.trial_id for event in events if isinstance(event, TrialMeasured)]
    assert sorted(ends) == sorted(spec.trial_id for spec in specs)
    assert all(store.state(spec.trial_id) is TrialState.MEASURED for spec in specs)
