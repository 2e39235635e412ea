"""The small sweep with a real SQLite database of MLflow's."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig


@pytest.fixture
def config(storage: Path, sweep_file: Callable[..., Path], empty_database: Path) -> SweepConfig:
    storage.mkdir()
    shutil.copy(empty_database, storage)
    return load(str(sweep_file()))
