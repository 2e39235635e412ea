"""Norms of the weights."""

import torch
from torch import nn

from analysis.schema import ALL_LAYERS, Measurement
from analysis.sharpness.layers import weight_layers
from analysis.sharpness.subject import Subject, Values, tabulate


def l2_norms(model: nn.Module) -> dict[str | None, float]:
    """‖w‖₂ of each weight layer and, under None, of all together: sqrt(Σ_l ‖w_l‖²).

    Weight tensors only, without biases and normalization parameters (Dziugaite et al. 2020). The sums are in float64.
    Cost: no pass.
    """
    parameters = dict(model.named_parameters())
    squares = {
        name: torch.linalg.vector_norm(parameters[name].detach(), dtype=torch.float64).item() ** 2
        for name in weight_layers(model)
    }
    return {**{name: square**0.5 for name, square in squares.items()}, None: sum(squares.values()) ** 0.5}


def l2(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `l2`."""
    norms = l2_norms(subject.model)

    def values(block: str) -> Values:
        return {None: (norms[None if block == ALL_LAYERS else block], 0.0)}

    return tabulate(measure, subject.blocks(measure), [None], values)
