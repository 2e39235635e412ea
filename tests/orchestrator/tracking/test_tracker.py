"""MLflow against a real SQLite database: what is logged, once and no more, whatever was logged before."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.events import EpochsDone, TrialFailed, TrialTrained
from orchestrator.store.trial_store import TrialState, TrialStore
from orchestrator.tracking.tracker import SweepTracker
from trainables.errors import StorageError
from trainables.trial.folder import EpochMetrics, Failure, Generalization, Trained, write_failure
from trainables.trial.specs import TrialSpec

HISTORY = [
    EpochMetrics(
        epoch,
        0.1,
        1.0 / (epoch + 1),
        2.0,
        0.5,
        0.01,
        1000.0 + epoch,
        system={"cpu_utilization_percentage": 10.0 * epoch},
    )
    for epoch in range(3)
]
OUTCOME = Generalization(0.1, 0.01, 1.0, 0.0, 0.3, 0.02, 0.9, 0.03)


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which take seconds to create."""
    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def config(storage: Path, sweep_file: Callable[..., Path], empty_database: Path) -> SweepConfig:
    storage.mkdir()
    shutil.copy(empty_database, storage)
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
        tracker = SweepTracker(config, store, specs)
        tracker.reconcile(store.states(specs), sent.append)
        assert tracker.wait() == 0
        assert sent == expected
    assert store.states(specs)[specs[0].trial_id] is TrialState.TRAINED


def test_addresses_with_their_own_database_are_used(config: SweepConfig, store: TrialStore, tmp_path: Path) -> None:
    other = config.model_copy(update={"tracking": f"sqlite:///{tmp_path}/other.db"})
    tracker = SweepTracker(other, store, [])
    assert MlflowClient(other.tracking_uri).get_run(tracker.parent_run_id).info.run_name == "sweep small"


def trial_runs(config: SweepConfig) -> list[Run]:
    client = MlflowClient(config.tracking_uri)
    experiment = client.get_experiment_by_name(config.name)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], "tags.`renyi.kind` = 'trial'"))


def test_a_driver_that_died_between_creating_a_run_and_describing_it_is_made_up_for(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    first = SweepTracker(config, store, specs)
    first._create(specs[0].trial_id)  # and is killed
    (run,) = trial_runs(config)
    assert not run.data.params
    store.trial(specs[0].trial_id).write_trained(Trained(HISTORY, OUTCOME))
    second = SweepTracker(config, store, specs)
    second.reconcile(store.states(specs))
    assert second.wait() == 0
    (found,) = trial_runs(config)
    assert found.info.run_id == run.info.run_id
    assert found.data.params["learning_rate"] == "0.05"
    assert found.data.tags["renyi.state"] == "trained"


def test_of_several_runs_of_a_trial_the_one_that_the_store_names_is_kept(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    trial = specs[0].trial_id
    first = SweepTracker(config, store, specs)
    copies = [first._create(trial).info.run_id for _ in range(3)]
    store.trial(trial).write_run_id(config.shown_tracking, copies[1])
    assert len(trial_runs(config)) == 3
    SweepTracker(config, store, specs)
    (kept,) = trial_runs(config)
    assert kept.info.run_id == copies[1]


def test_a_run_deleted_by_hand_is_made_again(config: SweepConfig, specs: list[TrialSpec], store: TrialStore) -> None:
    store.trial(specs[0].trial_id).write_trained(Trained(HISTORY, OUTCOME))
    for _ in range(2):
        tracker = SweepTracker(config, store, specs)
        tracker.reconcile(store.states(specs))
        assert tracker.wait() == 0
        (run,) = trial_runs(config)
        MlflowClient(config.tracking_uri).delete_run(run.info.run_id)
    assert trial_runs(config) == []


def test_an_experiment_deleted_by_hand_is_told(config: SweepConfig, store: TrialStore) -> None:
    tracker = SweepTracker(config, store, [])
    MlflowClient(config.tracking_uri).delete_experiment(tracker.experiment_id)
    with pytest.raises(
        UsageError, match=r"experiment 'small' at .* was deleted in MLflow; `mlflow experiments restore"
    ):
        SweepTracker(config, store, [])


def test_a_sweep_taken_up_again_runs_again(config: SweepConfig, specs: list[TrialSpec], store: TrialStore) -> None:
    trial = specs[0].trial_id
    first = SweepTracker(config, store, specs)
    first.record(EpochsDone(trial, HISTORY[:1]))
    assert first.finish("KILLED") == 0
    (run,) = trial_runs(config)
    assert run.info.status == "KILLED"
    assert len(MlflowClient(config.tracking_uri).get_metric_history(run.info.run_id, "training/train_loss")) == 1

    second = SweepTracker(config, store, specs)
    second.record(EpochsDone(trial, HISTORY[1:]))
    second._flush(trial)
    (run,) = trial_runs(config)
    assert run.info.status == "RUNNING"
    write_failure(store.trial(trial).folder, Failure("training", "ValueError: no", "Traceback"))
    second.record(TrialFailed(trial))
    assert second.finish() == 0
    store.forget_failure(trial)
    store.trial(trial).write_trained(Trained(HISTORY, OUTCOME))
    third = SweepTracker(config, store, specs)
    third.reconcile(store.states(specs))
    assert third.finish() == 0
    (run,) = trial_runs(config)
    assert "renyi.reason" not in run.data.tags
    points = MlflowClient(config.tracking_uri).get_metric_history(run.info.run_id, "training/train_loss")
    assert sorted(point.step for point in points) == [0, 1, 2]


@pytest.mark.parametrize("own", [False, True])
def test_artifacts_are_found_after_the_storage_was_moved(
    config: SweepConfig,
    specs: list[TrialSpec],
    store: TrialStore,
    sweep_file: Callable[..., Path],
    tmp_path: Path,
    own: bool,
) -> None:
    if own:
        config = load(str(sweep_file()), tracking=f"sqlite:///{tmp_path}/own.db")
    store.trial(specs[0].trial_id).write_trained(Trained(HISTORY, OUTCOME))
    first = SweepTracker(config, store, specs)
    first.reconcile(store.states(specs))
    assert first.wait() == 0
    Path(config.storage).rename(tmp_path / "new")
    moved = load(str(sweep_file()), str(tmp_path / "new"), config.tracking)
    store = TrialStore(f"{tmp_path}/new/small", moved.sharpness.measurement_id)
    second = SweepTracker(moved, store, specs)
    second.reconcile(store.states(specs))
    assert second.wait() == 0
    (run,) = trial_runs(moved)
    assert run.info.artifact_uri == f"file://{tmp_path}/new/mlartifacts/small/{run.info.run_id}/artifacts"
    assert run.data.tags["renyi.checkpoint"] == f"{tmp_path}/new/small/trials/{specs[0].trial_id}/last.pt"


def test_epochs_that_are_late_do_not_open_a_finished_run(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    trial = specs[0].trial_id
    tracker = SweepTracker(config, store, specs)
    tracker.record(EpochsDone(trial, HISTORY))
    write_failure(store.trial(trial).folder, Failure("training", "ValueError: no", "Traceback"))
    tracker._sync(trial)
    tracker._flush(trial)  # as after an outage, in which the two changed places
    assert tracker.finish() == 0
    (run,) = trial_runs(config)
    assert run.info.status == "FAILED"
    assert len(MlflowClient(config.tracking_uri).get_metric_history(run.info.run_id, "training/train_loss")) == 3


@pytest.mark.parametrize(
    ("tracking", "said"),
    [
        ("sqlite:////nowhere/there/own.db", "unable to open database file"),
        ("postgresql://me:secret@127.0.0.1:1/mlflow", "onnection refused"),
        ("http://127.0.0.1:1", "Connection refused"),
        ("mysql+nodriver://host/db", "nodriver"),
    ],
)
def test_an_address_that_does_not_answer_is_told_in_one_line(
    config: SweepConfig, store: TrialStore, tracking: str, said: str
) -> None:
    with pytest.raises(UsageError) as told:
        SweepTracker(config.model_copy(update={"tracking": tracking}), store, [])
    message = str(told.value)
    assert message.startswith("tracking: ")
    assert said in message
    assert "secret" not in message
    assert "\n" not in message


def test_a_database_that_is_away_for_a_while_is_ridden_out(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    said: list[str] = []
    tracker = SweepTracker(config, store, specs, said.append, lambda: said.append("again"))
    store.trial(specs[0].trial_id).write_trained(Trained(HISTORY, OUTCOME))
    real = Path(config.storage) / "mlflow.db"
    aside = real.with_suffix(".aside")
    real.rename(aside)
    real.mkdir()  # SQLite can't open it
    started = time.monotonic()
    tracker.record(TrialTrained(specs[0].trial_id))
    assert time.monotonic() - started < 0.5
    assert tracker.wait(0.5) == 1
    real.rmdir()
    aside.rename(real)
    assert tracker.wait() == 0
    assert said[-1] == "again"
    assert len(trial_runs(config)) == 1


@pytest.mark.parametrize("stopped", ["", "KILLED"])
def test_storage_that_fails_beside_mlflow_is_told_at_the_end(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, stopped: str
) -> None:
    tracker = SweepTracker(config, store, specs)
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


def test_a_database_is_made_whole_or_not_at_all(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, tmp_path: Path
) -> None:
    database = Path(config.storage) / "mlflow.db"
    half_made = database.with_name(".mlflow.db.new") / "mlflow.db"
    database.unlink()
    code = "\n".join(
        [
            "from orchestrator.config.load import load",
            "from orchestrator.tracking.client import open_client",
            "open_client(load('sweep.yaml'))",
        ]
    )
    for _ in range(2):
        driver = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
        while not (half_made.exists() and half_made.stat().st_size):
            assert driver.poll() is None
            time.sleep(0.005)
        driver.kill()
        driver.wait()
        assert database.stat().st_size == 0
    assert SweepTracker(config, store, specs).finish() == 0
    assert not half_made.parent.exists()
