"""Errors of MLflow's own and of all that lies between, made by real outages; and mistakes in programs."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.tracking.client import log_files
from orchestrator.tracking.experiment import open_experiment
from orchestrator.tracking.trouble import TRACEBACK_FILE, keep_traceback, may_pass
from tests.free_port import free_port
from trainables.errors import StorageError
from trainables.trial.storage import LocalFolder, open_folder


def error_of(action: Callable[[], object]) -> Exception:
    """What an action raises, with its traceback."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 - whatever it is, is looked at
        return error
    raise AssertionError("nothing was raised")


def test_a_server_that_is_down_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    client = MlflowClient(f"http://127.0.0.1:{free_port()}")
    assert may_pass(error_of(lambda: client.get_experiment_by_name("small")))


def test_a_database_that_is_away_or_locked_may_come_back(config: SweepConfig, tmp_path: Path) -> None:
    experiment = open_experiment(config.model_copy(update={"tracking": None}))
    database = Path(config.storage) / "mlflow.db"
    holder = sqlite3.connect(database, isolation_level=None)
    from sqlalchemy import create_engine, text

    engine = create_engine(f"sqlite:///{database}", connect_args={"timeout": 0.01})
    holder.execute("BEGIN EXCLUSIVE")
    with engine.connect() as connection:
        assert may_pass(error_of(lambda: connection.execute(text("SELECT 1 FROM runs"))))
    holder.execute("ROLLBACK")
    holder.close()
    engine.dispose()
    database.rename(tmp_path / "aside")
    database.mkdir()
    write = lambda: experiment.client.log_batch(experiment.parent_run_id, metrics=[Metric("a", 1.0, 0, 0)])  # noqa: E731
    assert may_pass(error_of(write))


def test_a_place_for_artifacts_that_is_away_may_come_back(config: SweepConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = open_experiment(config)
    (Path(config.storage) / "mlartifacts").write_text("no folder")
    write = lambda: log_files(experiment.client, experiment.parent_run_id, {"a": b"text"})  # noqa: E731
    assert may_pass(error_of(write))


def test_errors_of_the_libraries_of_object_stores_may_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    (tmp_path / "file").write_text("text")
    repository = S3ArtifactRepository("s3://bucket/path")
    error = error_of(lambda: repository.log_artifact(str(tmp_path / "file")))  # type: ignore[no-untyped-call]
    assert not isinstance(error, OSError)
    assert may_pass(error)


@pytest.mark.parametrize("kind", [KeyError, TypeError, AttributeError, ValueError, AssertionError, RuntimeError])
def test_a_mistake_of_a_program_does_not_pass(kind: type[Exception]) -> None:
    def wrong() -> None:
        raise kind("gradient_clip")

    assert not may_pass(error_of(wrong))


def test_a_mistake_within_a_call_of_mlflow_does_not_pass(config: SweepConfig) -> None:
    client = MlflowClient(config.tracking_uri)
    assert not may_pass(error_of(lambda: client.log_batch("a", metrics=[1.0])))  # type: ignore[list-item]


def test_what_the_store_lacks_is_no_trouble_of_mlflow(tmp_path: Path) -> None:
    folder = open_folder(str(tmp_path))
    error = error_of(lambda: folder.read("measured.json"))
    assert isinstance(error, FileNotFoundError)
    assert not may_pass(error)
    assert not may_pass(StorageError("no room"))
    assert may_pass(error_of(lambda: (tmp_path / "none" / "scratch").write_bytes(b"")))


def test_a_traceback_is_kept_without_passwords(tmp_path: Path) -> None:
    def wrong() -> None:
        raise KeyError("http://me:secret@host")

    place = keep_traceback(LocalFolder(tmp_path), error_of(wrong))
    text = Path(place).read_text()
    assert Path(place).name == TRACEBACK_FILE
    assert "in wrong" in text
    assert "KeyError" in text
    assert "secret" not in text
