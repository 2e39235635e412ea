"""The small sweep with a real SQLite database of MLflow's."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig


@pytest.fixture
def config(storage_with_database: Path, sweep_file: Callable[..., Path]) -> SweepConfig:
    return load(str(sweep_file()))
