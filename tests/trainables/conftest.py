"""What tests of the trainables share: optimizers that are quick to build."""

import pytest


@pytest.fixture(autouse=True)
def quick(young_heap: None) -> None:
    """In every test."""
