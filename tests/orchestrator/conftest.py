"""The small sweep and its store, with nothing in it yet."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.trial_store import TrialStore
from trainables.trial.specs import TrialSpec


@pytest.fixture
def config(storage: Path, sweep_file: Callable[..., Path]) -> SweepConfig:
    return load(str(sweep_file()))


@pytest.fixture
def specs(config: SweepConfig) -> list[TrialSpec]:
    return expand(config)


@pytest.fixture
def store(config: SweepConfig) -> TrialStore:
    return TrialStore(config.folder, config.sharpness.measurement_id)
