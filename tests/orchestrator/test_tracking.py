"""MLflow against a real SQLite database: what is logged, once and no more, whatever was logged before."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.config import SweepConfig, load
from orchestrator.events import EpochsDone
from orchestrator.grid import expand
from orchestrator.tracking import SweepTracker
from orchestrator.trial_store import TrialState, TrialStore
from trainables.specs import TrialSpec
from trainables.trial_folder import EpochMetrics, Failure, Generalization, Trained, write_failure

HISTORY = [EpochMetrics(epoch, 0.1, 1.0 / (epoch + 1), 2.0, 0.5, 0.01, 1000.0 + epoch) for epoch in range(3)]
OUTCOME = Generalization(0.1, 0.01, 1.0, 0.0, 0.3, 0.02, 0.9, 0.03)


@pytest.fixture
def config(storage: Path, sweep_file: Callable[..., Path]) -> SweepConfig:
    return load(str(sweep_file()))


@pytest.fixture
def specs(config: SweepConfig) -> list[TrialSpec]:
    return expand(config)


@pytest.fixture
def store(config: SweepConfig) -> TrialStore:
    return TrialStore(config.folder, config.sharpness.measurement_id)


def test_a_driver_that_died_anywhere_is_made_up_for_exactly_once(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    trained, failed = specs[0].trial_id, specs[1].trial_id
    first = SweepTracker(config, store, specs)
    first.record(EpochsDone(trained, HISTORY[:1]))
    first.record(EpochsDone(trained, HISTORY[1:2]))
    assert first.finish("KILLED") == 0  # logs what it knows; the run of a trial that was cut stays open to more
    del first
    store.trial(trained).write_trained(Trained(HISTORY, OUTCOME))
    write_failure(store.trial(failed).folder, Failure("training", "ValueError: no", "Traceback"))

    for _ in range(2):  # two more drivers
        tracker = SweepTracker(config, store, specs)
        tracker.reconcile(store.states(specs))
        assert tracker.finish() == 0

    client = MlflowClient(config.tracking_uri)
    runs = client.search_runs([tracker.experiment_id])
    by_trial = {run.data.tags["renyi.trial_id"]: run for run in runs if "renyi.trial_id" in run.data.tags}
    assert len(runs) == 3
    assert set(by_trial) == {trained, failed}
    run = by_trial[trained]
    assert run.info.run_name == specs[0].label
    assert run.data.params["learning_rate"] == "0.05"
    assert run.data.metrics["generalization/gap_loss"] == pytest.approx(0.2)
    assert run.data.tags["mlflow.parentRunId"] == tracker.parent_run_id
    points = client.get_metric_history(run.info.run_id, "training/train_loss")
    assert sorted((point.step, point.value) for point in points) == [(0, 1.0), (1, 0.5), (2, 1.0 / 3)]
    assert by_trial[failed].info.status == "FAILED"
    assert by_trial[failed].data.tags["renyi.reason"] == "ValueError: no"
    assert client.get_run(tracker.parent_run_id).info.status == "FAILED"


def test_nothing_is_sent_for_what_is_recorded(config: SweepConfig, specs: list[TrialSpec], store: TrialStore) -> None:
    store.trial(specs[0].trial_id).write_trained(Trained(HISTORY, OUTCOME))
    sent: list[str] = []
    for expected in ([specs[0].trial_id], []):
        sent.clear()
        tracker = SweepTracker(config, store, specs)
        tracker.reconcile(store.states(specs), sent.append)
        assert tracker.wait() == 0
        assert sent == expected
    assert store.states(specs)[specs[0].trial_id] is TrialState.TRAINED


def test_addresses_with_their_own_database_are_used(config: SweepConfig, store: TrialStore, tmp_path: Path) -> None:
    other = config.model_copy(update={"tracking": f"sqlite:///{tmp_path}/other.db"})
    tracker = SweepTracker(other, store, [])
    assert MlflowClient(other.tracking_uri).get_run(tracker.parent_run_id).info.run_name == "sweep small"
