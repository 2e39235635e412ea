"""The small sweep with a real SQLite database of MLflow's."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig


@pytest.fixture(scope="session")
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
