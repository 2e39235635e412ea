"""What a loss is: values, what each sample counts for, and the curvature in the outputs."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from analysis.errors import UndefinedMeasureError

Targets = Any  # a tensor of the samples' targets; for a function of the user's, also a tuple or mapping of tensors


class Loss(ABC):
    """L = Σ_i s_i / Σ_i z_i: a sum over samples, normalized by what each sample counts for.

    s_i depends on the outputs f_i (…) and targets of sample i alone, z_i on its targets alone. Outputs are (N, …) in
    the shape that the model gives.
    """

    name: str
    has_root = True  # whether `root` exists, which the factor engines need

    def fitted(self, outputs: Tensor, targets: Targets) -> "Loss":
        """This loss with everything decided that was left open, such as which dimension holds the classes.

        Args:
            outputs: those of a few samples.
            targets: those of as many samples or more.

        Raises:
            AnalysisError: targets that do not fit the outputs.
        """
        self.check(outputs, targets)
        return self

    @abstractmethod
    def check(self, outputs: Tensor, targets: Targets) -> None:
        """Refuse targets (any number of them) that do not fit outputs."""

    @abstractmethod
    def values(self, outputs: Tensor, targets: Targets) -> Tensor:
        """(N,) s_i, in the type of the outputs."""

    def counts(self, outputs: Tensor, targets: Targets) -> Tensor:
        """(N,) z_i; the values of the outputs are not read."""
        return outputs.new_ones(len(outputs))

    def mean(self, outputs: Tensor, targets: Targets) -> Tensor:
        """L, a scalar."""
        return self.values(outputs, targets).sum() / self.counts(outputs, targets).sum()

    def gradient(self, outputs: Tensor, targets: Targets) -> Tensor:
        """(N, …) ∂s_i/∂f_i."""
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            return torch.autograd.grad(self.values(leaf, targets).sum(), leaf)[0]

    @abstractmethod
    def curvature(self, outputs: Tensor, targets: Targets, U: Tensor) -> Tensor:
        """Per sample (∂²s_i/∂f_i²) u, for (N, P, …) vectors u."""

    @abstractmethod
    def root(self, outputs: Tensor, targets: Targets) -> Tensor:
        """(N, R, …): R vectors r_j per sample with Σ_j r_j r_jᵀ = ∂²s_i/∂f_i²."""

    @abstractmethod
    def rank(self, shape: Sequence[int]) -> int:
        """R, for a sample's outputs of this shape: at least the rank of ∂²s_i/∂f_i²."""

    def hits(self, outputs: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
        """How many predictions are right, and how many there are.

        Raises:
            UndefinedMeasureError: the loss is not one of a classifier.
        """
        raise UndefinedMeasureError(f"the loss {self.name} is not that of a classifier, so there is no accuracy")

    def chance(self, outputs: Tensor) -> float:
        """The accuracy of a guess.

        Raises:
            UndefinedMeasureError: the loss is not one of a classifier.
        """
        raise UndefinedMeasureError(f"the loss {self.name} is not that of a classifier, so there is no accuracy")
