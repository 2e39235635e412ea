"""Losses that are a mean over a sample's outputs: the squared error and the binary cross-entropy."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from analysis.errors import AnalysisError
from analysis.sharpness.loss.interface import Loss


class Elementwise(Loss):
    """s_i = (1/D) Σ_d e(f_d, y_d) over the D outputs of a sample; the curvature is diagonal."""

    @abstractmethod
    def bend(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(N, …) ∂²e/∂f², at least 0."""

    def _check_shape(self, outputs: Tensor, targets: Tensor, what: str) -> None:
        wanted = f"(N, {', '.join(map(str, outputs.shape[1:]))})" if outputs.ndim > 1 else "(N,)"
        if not isinstance(targets, Tensor) or targets.shape[1:] != outputs.shape[1:]:
            got = tuple(targets.shape) if isinstance(targets, Tensor) else type(targets).__name__
            raise AnalysisError(
                f"targets must be {what} of shape {wanted}, like the outputs, for {self.name}; got {got}"
            )

    def curvature(self, outputs: Tensor, targets: Tensor, U: Tensor) -> Tensor:
        """(∂²e/∂f²) u / D."""
        return U * (self.bend(outputs, targets) / outputs[0].numel())[:, None]

    def root(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The diagonal matrix of √(∂²e/∂f² / D)."""
        each = (self.bend(outputs, targets).reshape(len(outputs), -1) / outputs[0].numel()).sqrt()
        return torch.diag_embed(each).reshape(len(outputs), -1, *outputs.shape[1:])

    def rank(self, shape: Sequence[int]) -> int:
        """D."""
        return math.prod(shape)


@dataclass(frozen=True)
class MeanSquaredError(Elementwise):
    """ℓ = (1/D) ‖f − y‖², as `torch.nn.functional.mse_loss`, whose curvature is (2/D) I.

    Targets have the type and shape of the outputs.

    >>> import torch
    >>> from renyi import MeanSquaredError
    >>> MeanSquaredError().mean(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]])).item()
    2.0
    """

    name = "mse"

    def check(self, outputs: Tensor, targets: Tensor) -> None:
        """Float targets of the outputs' shape."""
        self._check_shape(outputs, targets, "float")
        if not targets.is_floating_point():
            raise AnalysisError(
                f"targets must be floating-point for mse; got {targets.dtype}. Of classes, "
                "torch.nn.functional.one_hot(targets).to(inputs.dtype) makes targets for C outputs"
            )

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean over a sample's outputs of the squared difference."""
        each = functional.mse_loss(outputs, targets.to(outputs.dtype), reduction="none")
        return each.reshape(len(outputs), -1).mean(1)

    def mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean over samples and outputs of the squared difference, by torch's own reduction."""
        return functional.mse_loss(outputs, targets.to(outputs.dtype))

    def bend(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """2."""
        return torch.full_like(outputs, 2)


@dataclass(frozen=True)
class BinaryCrossEntropy(Elementwise):
    """ℓ = −(1/D) Σ_d [v_d y_d log σ(f_d) + (1 − y_d) log(1 − σ(f_d))]: many yes-or-no questions a sample.

    As `torch.nn.functional.binary_cross_entropy_with_logits`; the outputs are logits. The curvature is diagonal, with
    (v_d y_d + 1 − y_d) σ(f_d)(1 − σ(f_d)) / D.

    Targets are probabilities, classes 0 and 1, or booleans, of the outputs' shape.

    >>> import torch
    >>> from renyi import BinaryCrossEntropy
    >>> BinaryCrossEntropy(pos_weight=(2.0,)).mean(torch.zeros(2, 1), torch.tensor([[1], [0]])).item()  # 1.5 log 2
    1.039...
    """

    pos_weight: tuple[float, ...] | None = None  # v, of a sample's last dimension; one number is for all; None: all 1

    name = "bce"

    def __post_init__(self) -> None:
        if self.pos_weight is not None:
            object.__setattr__(self, "pos_weight", tuple(float(value) for value in self.pos_weight))
            if not all(0 <= value < math.inf for value in self.pos_weight or ()):
                raise AnalysisError(f"pos_weight must be finite and at least 0; got {self.pos_weight}")

    def check(self, outputs: Tensor, targets: Tensor) -> None:
        """Targets between 0 and 1, of the outputs' shape."""
        self._check_shape(outputs, targets, "numbers from 0 to 1")
        if not ((targets >= 0) & (targets <= 1)).all():
            raise AnalysisError("targets must lie in 0 … 1 for bce; some do not")
        if self.pos_weight is not None and len(self.pos_weight) not in (1, *outputs.shape[-1:]):
            raise AnalysisError(f"pos_weight must hold 1 or {outputs.shape[-1]} numbers; got {len(self.pos_weight)}")

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean over a sample's outputs, in nats."""
        each = functional.binary_cross_entropy_with_logits(
            outputs, targets.to(outputs.dtype), pos_weight=self._positive(outputs), reduction="none"
        )
        return each.reshape(len(outputs), -1).mean(1)

    def mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean over samples and outputs, in nats, by torch's own reduction."""
        positive = self._positive(outputs)
        return functional.binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype), pos_weight=positive)

    def bend(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(v y + 1 − y) σ(f) σ(−f): no digits are lost where the network is confident."""
        y, positive = targets.to(outputs.dtype), self._positive(outputs)
        weights = torch.ones_like(y) if positive is None else positive * y + 1 - y
        return weights * outputs.sigmoid() * (-outputs).sigmoid()

    def hits(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs on the right side of 0, and all."""
        right = (outputs > 0) == (targets > 0.5)
        return right.sum(), torch.full_like(right, True).sum()

    def chance(self, outputs: Tensor) -> float:
        """½."""
        return 0.5

    def _positive(self, outputs: Tensor) -> Tensor | None:
        return None if self.pos_weight is None else outputs.new_tensor(self.pos_weight)
