"""The Fisher–Rao norm: how fast the loss of each sample changes when the weights are scaled."""

import math
import re
import warnings

import torch
from torch import Tensor

from analysis.schema import Measurement
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.subject import Subject, Values, tabulate

MEMORY = re.compile(r"out of memory|can't allocate memory", re.IGNORECASE)


def fisher_rao_norm(landscape: Landscape) -> float:
    """sqrt(wᵀ F w) = sqrt((1/N) Σ_i ⟨w, ∇ℓ_i(w)⟩²), F the empirical Fisher matrix of the observed labels.

    ⟨w, ∇ℓ_i(w)⟩ is the derivative of ℓ_i((1 + t) w) at t = 0: one forward-mode derivative gives it for all samples.
    It does not change if layers of a ReLU network are rescaled against each other. For one sample x = 1 with label 0
    and weights (1, 0)ᵀ, so logits (1, 0), the square is 0.0723295.

    Cost: a forward pass with its derivative, about three forward passes. Where an operation has no forward-mode
    derivative (LSTM, weight norm): a forward and a backward pass of every sample by itself.

    Source: Liang et al. 2019, definition 2.
    """
    squares = torch.zeros((), dtype=torch.float64, device=landscape.weights.device)
    with landscape.held_still(), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # from inside torch, about how it loads its forward-mode rules
        for chunk in landscape.chunks():
            squares += _slopes(chunk).square().sum()
    return math.sqrt(squares.item() / landscape.num_samples)


def _slopes(chunk: Landscape) -> Tensor:
    """(N,) ⟨w, ∇ℓ_i(w)⟩."""
    try:
        slopes: Tensor = torch.func.jvp(chunk.losses_at, (chunk.weights,), (chunk.weights,))[1]  # tangent w at w
    except (NotImplementedError, RuntimeError) as error:
        if MEMORY.search(str(error)):
            raise
        return torch.cat([_slope(sample) for sample in chunk.batches(1)])
    return slopes


def _slope(sample: Landscape) -> Tensor:
    """The same of one sample, by its gradient."""
    with torch.enable_grad():
        w = sample.weights.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(sample.losses_at(w).sum(), w, materialize_grads=True)
    return (gradient.double() @ w.detach().double())[None]


def fisher_rao(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `fisher_rao`."""

    def values(block: str) -> Values:
        return {None: (fisher_rao_norm(subject.landscape(block)), 0.0)}

    return tabulate(measure, subject.blocks(measure), [None], values)
