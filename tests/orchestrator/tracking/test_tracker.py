"""MLflow against a real SQLite database: what is logged, once and no more, whatever was logged before."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import DefectError
from orchestrator.events import EpochsDone, TrialFailed, TrialTrained
from orchestrator.store.trial_store import TrialState, TrialStore
from orchestrator.tracking import tracker as module
from orchestrator.tracking.protocol import Stopped
from orchestrator.tracking.tracker import MLflowTracker
from orchestrator.tracking.trouble import TRACEBACK_FILE
from tests.orchestrator.tracking.recorded import HISTORY, OUTCOME, create_run, trial_runs
from trainables.errors import StorageError
from trainables.trial.folder import Failure, Trained, write_failure
from trainables.trial.specs import TrialSpec


def test_a_driver_that_died_anywhere_is_made_up_for_exactly_once(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    trained, failed = specs[0].trial_id, specs[1].trial_id
    first = MLflowTracker(config, store, specs)
    first.record(EpochsDone(trained, HISTORY[:1]))
    first.record(EpochsDone(trained, HISTORY[1:2]))
    assert first.finish(Stopped.INTERRUPTED) == 0  # the run of a trial that was cut off can still grow
    del first
    store.trial(trained).write_trained(Trained(HISTORY, OUTCOME))
    write_failure(store.trial(failed).folder, Failure("training", "ValueError: no", "Traceback"))

    for _ in range(2):  # two more drivers
        tracker = MLflowTracker(config, store, specs)
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
    points = client.get_metric_history(run.info.run_id, "system/cpu_utilization_percentage")
    assert sorted((point.step, point.value) for point in points) == [(0, 0.0), (1, 10.0), (2, 20.0)]
    assert by_trial[failed].info.status == "FAILED"
    assert by_trial[failed].data.tags["renyi.reason"] == "ValueError: no"
    assert client.get_run(tracker.parent_run_id).info.status == "FAILED"


def test_nothing_is_sent_for_what_is_recorded(config: SweepConfig, specs: list[TrialSpec], store: TrialStore) -> None:
    store.trial(specs[0].trial_id).write_trained(Trained(HISTORY, OUTCOME))
    sent: list[str] = []
    for expected in ([specs[0].trial_id], []):
        sent.clear()
        tracker = MLflowTracker(config, store, specs)
        tracker.reconcile(store.states(specs), sent.append)
        assert tracker.wait() == 0
        assert sent == expected
    assert store.states(specs)[specs[0].trial_id] is TrialState.TRAINED


def test_addresses_with_their_own_database_are_used(config: SweepConfig, store: TrialStore, tmp_path: Path) -> None:
    other = config.model_copy(update={"tracking": f"sqlite:///{tmp_path}/other.db"})
    tracker = MLflowTracker(other, store, [])
    assert MlflowClient(other.tracking_uri).get_run(tracker.parent_run_id).info.run_name == "sweep small"


def test_a_driver_that_died_between_creating_a_run_and_describing_it_is_made_up_for(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    first = MLflowTracker(config, store, specs)
    create_run(config, first.experiment_id, specs[0].trial_id)  # and is killed
    (run,) = trial_runs(config)
    assert not run.data.params
    store.trial(specs[0].trial_id).write_trained(Trained(HISTORY, OUTCOME))
    second = MLflowTracker(config, store, specs)
    second.reconcile(store.states(specs))
    assert second.wait() == 0
    (found,) = trial_runs(config)
    assert found.info.run_id == run.info.run_id
    assert found.data.params["learning_rate"] == "0.05"
    assert found.data.tags["renyi.state"] == "trained"


def test_a_run_deleted_by_hand_is_made_again(config: SweepConfig, specs: list[TrialSpec], store: TrialStore) -> None:
    store.trial(specs[0].trial_id).write_trained(Trained(HISTORY, OUTCOME))
    for _ in range(2):
        tracker = MLflowTracker(config, store, specs)
        tracker.reconcile(store.states(specs))
        assert tracker.wait() == 0
        (run,) = trial_runs(config)
        MlflowClient(config.tracking_uri).delete_run(run.info.run_id)
    assert trial_runs(config) == []


def test_the_runs_of_a_resumed_sweep_are_running_again(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = specs[0].trial_id
    first = MLflowTracker(config, store, specs)
    first.record(EpochsDone(trial, HISTORY[:1]))
    assert first.finish(Stopped.INTERRUPTED) == 0
    (run,) = trial_runs(config)
    assert run.info.status == "KILLED"
    assert len(MlflowClient(config.tracking_uri).get_metric_history(run.info.run_id, "training/train_loss")) == 1

    monkeypatch.setattr(module, "SECONDS_BETWEEN_FLUSHES", -1)
    second = MLflowTracker(config, store, specs)
    second.record(EpochsDone(trial, HISTORY[1:]))
    assert second.wait() == 0
    (run,) = trial_runs(config)
    assert run.info.status == "RUNNING"
    write_failure(store.trial(trial).folder, Failure("training", "ValueError: no", "Traceback"))
    second.record(TrialFailed(trial))
    assert second.finish() == 0
    store.forget_failure(trial)
    store.trial(trial).write_trained(Trained(HISTORY, OUTCOME))
    third = MLflowTracker(config, store, specs)
    third.reconcile(store.states(specs))
    assert third.finish() == 0
    (run,) = trial_runs(config)
    assert "renyi.reason" not in run.data.tags
    points = MlflowClient(config.tracking_uri).get_metric_history(run.info.run_id, "training/train_loss")
    assert sorted(point.step for point in points) == [0, 1, 2]


def test_what_is_pending_while_the_database_is_away_is_logged_once_it_is_back(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    said: list[str] = []
    tracker = MLflowTracker(config, store, specs, said.append, lambda: said.append("again"))
    store.trial(specs[0].trial_id).write_trained(Trained(HISTORY, OUTCOME))
    real = Path(config.storage) / "mlflow.db"
    aside = real.with_suffix(".aside")
    real.rename(aside)
    real.mkdir()  # SQLite can't open it
    tracker.record(TrialTrained(specs[0].trial_id))
    assert tracker.wait(0.5) == 1
    real.rmdir()
    aside.rename(real)
    assert tracker.wait() == 0
    assert said[-1] == "again"
    assert len(trial_runs(config)) == 1


@pytest.mark.parametrize("stopped", [None, Stopped.INTERRUPTED])
def test_storage_that_fails_beside_mlflow_is_reported_at_the_end(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, stopped: Stopped | None
) -> None:
    tracker = MLflowTracker(config, store, specs)
    trial = store.trial(specs[0].trial_id)
    trial.write_trained(Trained(HISTORY, OUTCOME))
    place = Path(config.folder) / "trials"
    place.rename(place.with_name("gone"))
    place.symlink_to(place)  # no folder, and nothing that could be made one
    if stopped:
        assert tracker.finish(stopped) >= 1
        assert str(place) in tracker.trouble
    else:
        with pytest.raises(StorageError, match=str(place)):
            tracker.finish()


def test_a_mistake_in_the_program_ends_the_sweep_and_is_not_taken_for_trouble(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object) -> dict[str, str]:
        raise KeyError("gradient_clip")

    said: list[str] = []
    monkeypatch.setattr("orchestrator.tracking.run.trial_tags", wrong)
    tracker = MLflowTracker(config, store, specs, said.append, lambda: said.append("again"))
    store.trial(specs[0].trial_id).write_trained(Trained(HISTORY, OUTCOME))
    tracker.record(TrialTrained(specs[0].trial_id))
    with pytest.raises(DefectError) as told:
        tracker.wait(60)
    with pytest.raises(DefectError):
        tracker.record(TrialTrained(specs[1].trial_id))
    assert said == []
    message = str(told.value)
    assert "\n" not in message
    assert "KeyError: 'gradient_clip'" in message
    assert " --source store" in message
    assert "`renyi report " in message
    text = (Path(config.folder) / TRACEBACK_FILE).read_text()
    assert str(Path(config.folder) / TRACEBACK_FILE) in message
    assert text.startswith("Traceback")
    assert "in wrong" in text
    assert tracker.finish(Stopped.FAILED) == 0  # what can be written, is
    assert MlflowClient(config.tracking_uri).get_run(tracker.parent_run_id).info.status == "FAILED"
