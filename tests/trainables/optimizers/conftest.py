"""Fixtures that the optimizers' tests share."""

from weakref import WeakSet

import pytest

from trainables.optimizers import batch_norm, loss_scaling


@pytest.fixture
def nothing_to_look_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no batch-norm and no scaler, spare the search of the heap for each optimizer."""
    for module in (batch_norm, loss_scaling):
        monkeypatch.setattr(module, "live_instances", lambda _: WeakSet())
