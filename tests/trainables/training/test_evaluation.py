"""Losses and accuracies against their definitions, on a network whose logits are known."""

import math

import pytest
import torch
from torch import nn

from analysis.sharpness.means import stderr_of_mean
from trainables.data import load_dataset
from trainables.errors import DivergedError
from trainables.training.evaluation import accuracy, evaluate_inputs, generalization
from trainables.trial.specs import DataSpec


class Scale(nn.Module):
    """Logits are the inputs; dropout would show if it were not in eval mode."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(inputs, 0.5, self.training)


def test_losses_and_hits_are_those_of_each_input_whatever_the_batches() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    targets = torch.tensor([0, 1, 1])
    expected = [math.log(1 + math.exp(-2)), math.log(1 + math.exp(-1)), math.log(1 + math.exp(3))]
    for size in (1, 2, 3):
        losses, hits = evaluate_inputs(Scale(), logits.split(size), targets)
        assert losses.dtype == torch.float64
        assert losses.tolist() == pytest.approx(expected)
        assert hits.tolist() == [1, 1, 0]


def test_the_error_of_a_mean_is_the_spread_over_the_root_of_the_number() -> None:
    values = torch.arange(9.0).double()
    assert stderr_of_mean(values) == pytest.approx(values.std().item() / 3)


def test_a_network_that_guesses_has_the_loss_and_accuracy_of_guessing() -> None:
    data = load_dataset(DataSpec(dataset="digits"))
    linear = nn.Linear(64, 10)
    network = nn.Sequential(nn.Flatten(), linear)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    result = generalization(network, data)
    assert result.train_loss == pytest.approx(math.log(10))
    assert result.train_loss_stderr == pytest.approx(0, abs=1e-9)
    assert result.gap_loss == pytest.approx(0, abs=1e-6)
    assert result.test_accuracy == pytest.approx(accuracy(network, data.test, data.normalize))
    assert 0.05 < result.test_accuracy < 0.15
    nn.init.constant_(linear.weight, math.nan)
    with pytest.raises(DivergedError, match="finite loss"):
        generalization(network, data)
