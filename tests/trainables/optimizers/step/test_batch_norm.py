"""Batch-norm in the second pass: by the statistics of the batch, while the running ones stay."""

import gc

import pytest
import torch
from torch import nn

from tests.trainables.optimizers.networks import METHODS, assert_same_state, batches, closure_for, network, train
from trainables.optimizers import SAM

each_method = pytest.mark.parametrize("name", list(METHODS))


@each_method
def test_batch_norm_moves_once_a_step(name: str) -> None:
    model, reference = network(), network()
    train(model, METHODS[name](model, lr=0.0), batches(3))
    with torch.no_grad():
        for inputs, _ in batches(3):
            reference(inputs)
    assert_same_state(model, reference)
    assert all(module.track_running_stats for module in model.modules() if isinstance(module, nn.BatchNorm2d))


def seen_batches(norm: nn.Module) -> int:
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    assert norm.num_batches_tracked is not None
    return int(norm.num_batches_tracked.item())


def test_batch_norm_uses_batch_statistics_in_the_second_pass() -> None:
    """In train mode, not with the running ones: the mean of its output is its bias."""
    norm = nn.BatchNorm1d(2, affine=False)
    weight = nn.Parameter(torch.ones(2))
    optimizer = SAM([weight], lr=0.1)
    outputs: list[torch.Tensor] = []

    def closure() -> None:
        optimizer.zero_grad()
        outputs.append(norm(weight * torch.tensor([[1.0, 5.0], [3.0, 9.0]])))
        outputs[-1].square().mul(torch.tensor([[1.0], [2.0]])).sum().backward()

    optimizer.step(closure)
    assert seen_batches(norm) == 1
    torch.testing.assert_close(outputs[1].mean(0), torch.zeros(2))


def test_update_moves_batch_norm_in_both_passes() -> None:
    model = network()
    train(model, SAM(model.parameters(), bn_second_pass="update", lr=0.0), batches(3))
    assert seen_batches(model[1]) == 6


def test_batch_norm_is_released_when_an_optimizer_is_dropped_in_mid_step() -> None:
    model = network()
    inputs, targets = batches(1)[0]
    optimizer = SAM(model.parameters(), lr=0.1)
    closure_for(model, inputs, targets)()
    optimizer.first_step()
    model(inputs)
    del optimizer
    gc.collect()
    before = seen_batches(model[1])
    model(inputs)
    assert seen_batches(model[1]) == before + 1
