"""What tests of faults share."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def quick(storage_with_database: Path) -> None:
    """In every test."""
