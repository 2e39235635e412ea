"""The Fisher–Rao norm: how fast the loss of each sample changes when the weights are scaled."""

import math
import warnings

import torch
from torch import Tensor

from analysis.schema import Measurement
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.subject import Subject, Values, tabulate


def fisher_rao_norm(landscape: Landscape) -> float:
    """sqrt(wᵀ F w) = sqrt((1/N) Σ_i ⟨w, ∇ℓ_i(w)⟩²), F the empirical Fisher matrix of the observed labels.

    ⟨w, ∇ℓ_i(w)⟩ is the derivative of ℓ_i((1 + t) w) at t = 0: one forward-mode derivative gives it for all samples.
    It does not change if layers of a ReLU network are rescaled against each other. For one sample x = 1 with label 0
    and weights (1, 0)ᵀ, so logits (1, 0), the square is 0.0723295.

    Cost: a forward pass with its derivative, about three forward passes.

    Source: Liang et al. 2019, definition 2.
    """
    squares = torch.zeros((), dtype=torch.float64, device=landscape.weights.device)
    with landscape.held_still(), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # from inside torch, about how it loads its forward-mode rules
        for chunk in landscape.chunks():
            slopes: Tensor = torch.func.jvp(chunk.losses_at, (chunk.weights,), (chunk.weights,))[1]  # tangent w at w
            squares += slopes.square().sum()
    return math.sqrt(squares.item() / landscape.num_samples)


def fisher_rao(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `fisher_rao`."""

    def values(block: str) -> Values:
        return {None: (fisher_rao_norm(subject.landscape(block)), 0.0)}

    return tabulate(measure, subject.blocks(measure), [None], values)
