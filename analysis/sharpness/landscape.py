"""The loss as a function of one block's weights: what every measure that perturbs weights is made of."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from analysis.seeding import derive_seed
from analysis.sharpness.layers import select_parameters
from analysis.sharpness.loss import LossLike, Targets
from analysis.sharpness.problem import SAMPLES_AT_ONCE, Problem, held_still, pose
from analysis.sharpness.samples import Inputs


@dataclass(frozen=True)
class Landscape:
    """w ↦ ℓ_1(w), …, ℓ_N(w) for the weights w of one block, the others held fixed. Sums are in float64."""

    problem: Problem
    names: tuple[str, ...]  # the block's parameters
    samples_at_once: int = SAMPLES_AT_ONCE  # in a forward pass

    @classmethod
    def of(cls, problem: Problem, layer: str | None) -> "Landscape":
        """That of one layer, or with None of all trainable parameters.

        Raises:
            AnalysisError: no such layer.
        """
        return cls(problem, tuple(select_parameters(problem.model, layer)))

    @property
    def num_samples(self) -> int:
        """N."""
        return self.problem.num_samples

    @cached_property
    def weights(self) -> Tensor:
        """(n,) the block's own weights."""
        return torch.cat([self.problem.parameters[name].flatten() for name in self.names])

    @cached_property
    def own_losses(self) -> Tensor:
        """(N,) losses at the block's own weights, computed once."""
        return self.losses(self.weights)

    def held_still(self) -> AbstractContextManager[None]:
        """Eval mode, to be entered once around many evaluations."""
        return held_still(self.problem.model)

    def batches(self, size: int) -> Iterator["Landscape"]:
        """The same block on consecutive batches of at most `size` samples."""
        for batch in self.problem.chunks(size):
            yield replace(self, problem=batch)

    def chunks(self) -> Iterator["Landscape"]:
        """The same block on as many samples at a time as one pass takes."""
        return self.batches(self.samples_at_once)

    def losses_at(self, weights: Tensor) -> Tensor:
        """(N,) float64 losses at (n,) weights in one pass, differentiable; to be called inside `held_still`."""
        return self.problem.losses(self._outputs(weights))

    def losses(self, weights: Tensor) -> Tensor:
        """(N,) float64 losses at (n,) weights. Cost: one forward pass."""
        with self.held_still(), torch.no_grad():
            return torch.cat([chunk.losses_at(weights) for chunk in self.chunks()])

    def outputs(self) -> Tensor:
        """(N, D) outputs at the block's own weights, flat. Cost: one forward pass."""
        with self.held_still(), torch.no_grad():
            return torch.cat([chunk._outputs(self.weights) for chunk in self.chunks()])

    def accuracy(self, weights: Tensor) -> float:
        """Share of samples (of positions, where each has a prediction) classified right at (n,) weights.

        Cost: one forward pass.

        Raises:
            UndefinedMeasureError: the loss is not that of a classifier.
        """
        with self.held_still(), torch.no_grad():
            hits = [chunk.problem.hits(chunk._outputs(weights)) for chunk in self.chunks()]
        right, counted = torch.stack([torch.stack(pair) for pair in hits]).sum(0).tolist()
        return float(right / counted)

    def loss_and_gradient(self, weights: Tensor) -> tuple[float, Tensor]:
        """Mean loss at (n,) weights, and its gradient (n,). Cost: one forward and one backward pass."""
        total, gradient = 0.0, torch.zeros_like(weights)
        with self.held_still():
            for chunk in self.chunks():
                leaf = weights.detach().clone().requires_grad_()
                loss = chunk.losses_at(leaf).sum() / self.num_samples
                if loss.requires_grad:  # else no output depends on these weights
                    gradient += torch.autograd.grad(loss, leaf)[0]
                total += loss.item()
        return total, gradient

    def noise(self, *purpose: object) -> Tensor:
        """(n,) standard normal numbers, which depend on the purpose alone: the same for every model and device."""
        generator = torch.Generator().manual_seed(derive_seed(*purpose))
        noise = torch.randn(self.weights.numel(), generator=generator)
        return noise.to(device=self.weights.device, dtype=self.weights.dtype)

    def split(self, vector: Tensor) -> dict[str, Tensor]:
        """An (n,) vector as flat pieces, by the parameter that each belongs to."""
        sizes = [self.problem.parameters[name].numel() for name in self.names]
        return dict(zip(self.names, vector.split(sizes), strict=True))

    def _outputs(self, weights: Tensor) -> Tensor:
        pieces = self.split(weights)
        return self.problem.outputs(
            {name: piece.view_as(self.problem.parameters[name]) for name, piece in pieces.items()}
        )


def loss_landscape(
    model: nn.Module,
    inputs: Inputs,
    targets: Targets = None,
    layer: str | None = None,
    loss: LossLike = "cross_entropy",
) -> Landscape:
    """The loss of a network as a function of one layer's weights, or with None of all trainable parameters.

    Args:
        model, inputs, targets, loss: as for `block_operator`; the model is measured in eval mode and never written to.

    Raises:
        AnalysisError, UndefinedMeasureError: as `block_operator`.
    """
    return Landscape.of(pose(model, inputs, targets, loss), layer)
