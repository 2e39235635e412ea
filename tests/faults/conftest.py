"""What tests of faults share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ONE_LAYER


@pytest.fixture(autouse=True)
def quick(storage_with_database: Path) -> None:
    """In every test."""


@pytest.fixture
def sweep_file(sweep_file: Callable[..., Path]) -> Callable[..., Path]:
    """The small sweep with one layer measured: measures are not what fails here."""
    return lambda *replacements, name="sweep.yaml": sweep_file(ONE_LAYER, *replacements, name=name)
