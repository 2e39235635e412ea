"""A loss that is any function of outputs and targets, differentiated by autograd."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.errors import AnalysisError
from analysis.sharpness.loss.interface import Loss, Targets
from analysis.sharpness.tree import first, slices


@dataclass(frozen=True)
class LossFunction(Loss):
    """ℓ by a function (outputs, targets) → (N,) losses of the samples, or their mean, a scalar.

    The function gets the outputs in the model's shape and type. Its curvature in the outputs is a second derivative;
    no square root of it is known, so that double backward serves every block. Where the function is not convex in the
    outputs, the Gauss–Newton part has negative eigenvalues, too.

    Cost: losses of single samples are needed by some measures (Fisher–Rao); a function that returns the mean is then
    called once a sample.

    Errors: a result of another shape, or a mean that is not the mean over samples (a sum; a mean over weights; a loss
    of pairs of samples), is an AnalysisError.
    """

    function: Callable[[Tensor, Targets], Tensor]

    name = "function"
    has_root = False

    @property
    def described(self) -> str:
        """The name of the function, for messages."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def check(self, outputs: Tensor, targets: Targets) -> None:
        """The function's result on a few samples, and that a scalar is the mean of what single samples give."""
        some = first(targets, len(outputs))
        if not self.is_mean(outputs, some):
            return
        result = self._call(outputs, some)
        singly = torch.stack([self._call(f, y).reshape(()) for f, y in self._singles(outputs, some)])
        tolerance = torch.finfo(result.dtype).eps ** 0.5
        if not torch.allclose(result, singly.mean(), rtol=tolerance, atol=tolerance, equal_nan=True):
            raise AnalysisError(
                f"the loss {self.described} returns a scalar that is not the mean over samples: {result.item():g} for "
                f"{len(outputs)} samples, whose own losses average to {singly.mean().item():g}; return the (N,) losses "
                "of the samples, or their mean"
            )

    def is_mean(self, outputs: Tensor, targets: Targets) -> bool:
        """Whether the function returns a mean, and not the losses of the samples."""
        return self._call(outputs, targets).ndim == 0

    def values(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Losses of the samples; where the function gives a mean, from a call for each."""
        result = self._call(outputs, targets)
        if result.ndim == 1:
            return result
        if len(outputs) == 1:
            return result[None]
        return torch.stack([self._call(f, y).reshape(()) for f, y in self._singles(outputs, targets)])

    def mean(self, outputs: Tensor, targets: Targets) -> Tensor:
        """The function's own mean, or that of its values."""
        return self._call(outputs, targets).mean()

    def gradient(self, outputs: Tensor, targets: Targets) -> Tensor:
        """N times the gradient of the mean."""
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            return torch.autograd.grad(self.mean(leaf, targets) * len(outputs), leaf)[0]

    def curvature(self, outputs: Tensor, targets: Targets, U: Tensor) -> Tensor:
        """By differentiating the gradient in the outputs once more."""
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            total = self.mean(leaf, targets) * len(outputs)
            (gradient,) = torch.autograd.grad(total, leaf, create_graph=True)
            if not gradient.requires_grad:  # linear in the outputs
                return torch.zeros_like(U)
            parts = [
                torch.autograd.grad(gradient, leaf, U[:, column], retain_graph=True, materialize_grads=True)[0]
                for column in range(U.shape[1])
            ]
        return torch.stack(parts, dim=1)

    def root(self, outputs: Tensor, targets: Targets) -> Tensor:
        """None is known."""
        raise AnalysisError(f"of the curvature of the loss {self.described} no square root is known")

    def rank(self, shape: Sequence[int]) -> int:
        """At most the number of outputs."""
        return torch.Size(shape).numel()

    def _call(self, outputs: Tensor, targets: Targets) -> Tensor:
        result = self.function(outputs, targets)
        if not isinstance(result, Tensor) or result.shape not in (torch.Size(()), torch.Size((len(outputs),))):
            got = f"shape {tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
            raise AnalysisError(
                f"the loss {self.described} must return the ({len(outputs)},) losses of the samples, or their mean, a "
                f"scalar; got {got}"
            )
        return result

    def _singles(self, outputs: Tensor, targets: Targets) -> list[tuple[Tensor, Targets]]:
        return list(zip(outputs.split(1), slices(targets, 1), strict=True))
