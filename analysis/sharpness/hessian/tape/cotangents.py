"""Cotangents of one result, and the form they take below a pooling of every channel to one number."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from analysis.sharpness.hessian.tape.linear_maps import spread
from analysis.sharpness.hessian.tape.operations import Operation


@dataclass(frozen=True)
class Cotangents:
    """P cotangents a sample: (B, P, C, …) `values`, or (B, 1, C, …) ones, times `scales` (B, P, C).

    Where each channel ends in one number before channels mix (average pooling in front of the head, with whatever acts
    channel by channel before it), all cotangents of a sample are one map of positions, scaled: the derivative of that
    number.
    """

    values: Tensor
    scales: Tensor | None = None
    owned: bool = False  # whether `values` is held nowhere else, so that its last use may overwrite it

    def dense(self) -> Tensor:
        """All of them, (B, P, C, …)."""
        return self.values if self.scales is None else self.values * spread(self.scales, self.values.ndim)

    def inner(self, tangents: Tensor) -> Tensor:
        """(B, R, P): the inner products of R cotangents with P tangents (B, P, C, …) of the same result."""
        if self.scales is None:
            return torch.bmm(self.values.flatten(2), tangents.flatten(2).transpose(1, 2))
        channels = (tangents * self.values).flatten(3).sum(3)  # (B, P, C)
        return torch.bmm(self.scales, channels.transpose(1, 2))

    def mixed(self, weights: Tensor) -> Tensor:
        """Σ_r of the cotangents with weights (B, R, P), (B, P, C, …): the transpose of `inner`."""
        if self.scales is None:
            mixed = torch.bmm(weights.transpose(1, 2), self.values.flatten(2))
            return mixed.view(*mixed.shape[:2], *self.values.shape[2:])
        channels = torch.bmm(weights.transpose(1, 2), self.scales)  # (B, P, C)
        return self.values * spread(channels, self.values.ndim)

    def samples(self, chosen: slice) -> "Cotangents":
        """Those of some samples."""
        return Cotangents(self.values[chosen], None if self.scales is None else self.scales[chosen])

    def shared(self) -> "Cotangents":
        """The same, marked as held elsewhere too."""
        return replace(self, owned=False)

    def plus(self, other: "Cotangents") -> "Cotangents":
        """Their sum, in the memory of one that is owned; use neither of the two afterwards."""
        first, second = (self, other) if self.owned else (other, self)
        total = first.dense().add_(second.dense()) if first.owned else first.dense() + second.dense()
        return Cotangents(total, owned=True)

    def pull(self, operation: Operation, saved: Any) -> "Cotangents":
        """Cotangents of an operation's result to those of its input; use the former no more afterwards."""
        if not operation.per_channel:
            return Cotangents(operation.pull(saved, self.dense(), self.owned), owned=self.owned)
        if self.scales is None and self.values.shape[1] > 1 and _positions(self.values) == 1:
            below = operation.pull(saved, torch.ones_like(self.values[:, :1]))
            if _positions(below) > 1:
                return Cotangents(below, self.values.flatten(2))
        return Cotangents(operation.pull(saved, self.values, self.owned), self.scales, self.owned)


def _positions(values: Tensor) -> int:
    return values[0, 0, 0].numel()
