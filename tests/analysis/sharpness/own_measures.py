"""Measures such as a user may write, good and bad, for the tests to name by dotted path."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from analysis.errors import UndefinedMeasureError
from analysis.schema import Measurement

NOT_CALLABLE = 3


def largest_weight(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    return max(parameter.abs().max().item() for parameter in model.parameters())


def largest_output(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    return float(model(inputs).abs().max().item())


def by_layer(model: nn.Module, inputs: Tensor, targets: Tensor) -> list[Measurement]:
    return [Measurement(name, "mine", 2.0, 1.0, 0.1) for name, _ in model.named_parameters()]


def meddling(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    assert not model.training
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return 1.0


def tensor(model: nn.Module, inputs: Tensor, targets: Tensor) -> Any:
    return torch.tensor(1.0)


def nothing(model: nn.Module, inputs: Tensor, targets: Tensor) -> Any:
    return None


def truth(model: nn.Module, inputs: Tensor, targets: Tensor) -> Any:
    return True


def broken(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    raise KeyError("no such thing")


def undefined(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    raise UndefinedMeasureError("this network has none")


def not_a_number(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    return math.nan
