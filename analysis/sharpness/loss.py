"""The two losses: their values, their curvature in the outputs, and a square root of that curvature."""

import math
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from analysis.errors import AnalysisError


class Loss(Protocol):
    """A loss ℓ(f_i, y_i) a sample, its mean over samples, and what Gauss–Newton engines need of its curvature."""

    name: str

    def check(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse targets that do not fit outputs (any number of them) of C entries."""

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(N,) ℓ(f_i, y_i), in the type of the outputs."""

    def mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(1/N) Σ ℓ(f_i, y_i), a scalar, by torch's own reduction: its round-off differs from that of `values`."""

    def curvature(self, outputs: Tensor, U: Tensor) -> Tensor:
        """Per sample (∂²ℓ/∂f²) u, for (N, P, C) vectors u; targets do not enter."""

    def root(self, outputs: Tensor) -> Tensor:
        """(N, R, C): R vectors s_j per sample with Σ_j s_j s_jᵀ = ∂²ℓ/∂f²."""

    def rank(self, num_outputs: int) -> int:
        """R, the rank of ∂²ℓ/∂f² for C outputs."""


class CrossEntropy:
    """ℓ = −log softmax(f)_y, whose curvature is diag(p) − p pᵀ, of rank C − 1."""

    name = "cross_entropy"

    def check(self, outputs: Tensor, targets: Tensor) -> None:
        """(N,) classes from 0 to C − 1, of an integer type."""
        if targets.ndim != 1 or targets.dtype.is_floating_point or targets.dtype == torch.bool:
            raise AnalysisError(
                f"targets must be (N,) integer classes for the cross-entropy; got shape {tuple(targets.shape)} of "
                f"{targets.dtype}. For regression pass loss='mse'"
            )
        low, high = torch.stack(torch.aminmax(targets)).tolist()
        if low < 0 or high >= outputs.shape[1]:
            wrong = low if low < 0 else high
            raise AnalysisError(
                f"targets must lie in 0 … {outputs.shape[1] - 1}, since the model has {outputs.shape[1]} outputs; "
                f"got {wrong}"
            )

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropies, in nats."""
        return functional.cross_entropy(outputs, targets, reduction="none")

    def mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy, in nats."""
        return functional.cross_entropy(outputs, targets)

    def curvature(self, outputs: Tensor, U: Tensor) -> Tensor:
        """p ∘ (u − ⟨p, u⟩)."""
        p = outputs.softmax(dim=1)[:, None]
        return p * (U - (p * U).sum(dim=2, keepdim=True))

    def root(self, outputs: Tensor) -> Tensor:
        """diag(√p) times C − 1 columns of the Householder reflection that sends a unit vector to −√p.

        The unit vector is that of the likeliest class k, so that no entry loses digits to cancellation however
        confident the network is: s_j = q ∘ (e_j − q_j (q + e_k)/(1 + q_k)), q = √p, j ≠ k.
        """
        num_samples, num_outputs = outputs.shape
        q = (0.5 * outputs.log_softmax(dim=1)).exp()
        pivot = q.argmax(dim=1, keepdim=True)  # (N, 1)
        j = torch.arange(num_outputs - 1, device=outputs.device).expand(num_samples, -1)
        j = j + (j >= pivot)  # (N, C − 1): every class but the pivot
        q_pivot = q.gather(1, pivot)
        reflected = q.scatter_add(1, pivot, torch.ones_like(q_pivot)) / (1 + q_pivot)
        roots = -q.gather(1, j)[:, :, None] * reflected[:, None, :]
        roots.scatter_add_(2, j[:, :, None], torch.ones_like(roots[:, :, :1]))
        return roots * q[:, None, :]

    def rank(self, num_outputs: int) -> int:
        """C − 1: the curvature does not see a shift of all outputs."""
        return num_outputs - 1


class MeanSquaredError:
    """ℓ = (1/C) ‖f − y‖², as torch's `mse_loss`, whose curvature is (2/C) I."""

    name = "mse"

    def check(self, outputs: Tensor, targets: Tensor) -> None:
        """(N, C) float targets."""
        if targets.ndim != 2 or targets.shape[1] != outputs.shape[1] or not targets.dtype.is_floating_point:
            raise AnalysisError(
                f"targets must be float of shape (N, {outputs.shape[1]}), like the outputs, for the squared error; "
                f"got shape {tuple(targets.shape)} of {targets.dtype}"
            )

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean over a sample's outputs of the squared difference."""
        return functional.mse_loss(outputs, targets.to(outputs.dtype), reduction="none").mean(1)

    def mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean over samples and outputs of the squared difference."""
        return functional.mse_loss(outputs, targets.to(outputs.dtype))

    def curvature(self, outputs: Tensor, U: Tensor) -> Tensor:
        """(2/C) u."""
        return U * (2 / outputs.shape[1])

    def root(self, outputs: Tensor) -> Tensor:
        """√(2/C) I for every sample."""
        num_samples, num_outputs = outputs.shape
        identity = torch.eye(num_outputs, dtype=outputs.dtype, device=outputs.device)
        return (identity * math.sqrt(2 / num_outputs)).expand(num_samples, -1, -1)

    def rank(self, num_outputs: int) -> int:
        """C."""
        return num_outputs


LOSSES: dict[str, Loss] = {loss.name: loss for loss in (CrossEntropy(), MeanSquaredError())}
