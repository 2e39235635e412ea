"""The cross-entropy of classifiers, one prediction a sample or many, with all options of torch's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from analysis.errors import AnalysisError
from analysis.sharpness.loss.interface import Loss

SUM_TOLERANCE = 1e-3  # by which probabilities of a class may miss 1 and still show which dimension they lie along


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """ℓ = −Σ_c a_c log softmax(f)_c at every position, whose curvature is A (diag(p) − p pᵀ), A = Σ_c a_c.

    With label smoothing ε, class weights w and C classes, a_c = (1 − ε) w_y [c = y] + ε w_c / C for a class y, and
    a_c = w_c ((1 − ε) y_c + ε / C) for soft labels y. The mean is over the weights w_y of all positions, as in
    `torch.nn.functional.cross_entropy`; with soft labels over the number of positions. Positions with `ignore_index`
    count for nothing. The rank of the curvature is C − 1 a position, whatever the options.

    Outputs are (N, C), or one prediction a position: (N, C, d₁, …) with targets (N, d₁, …), as for pixels, or
    (N, d₁, …, C) with targets of the same leading shape, as for tokens. Soft labels have the shape of the outputs.

    Errors: a negative weight or a smoothing outside [0, 1] is an AnalysisError.

    Source: `torch.nn.functional.cross_entropy`; label smoothing by Szegedy et al. 2016, section 7.

    >>> import torch
    >>> from renyi import CrossEntropy
    >>> outputs, targets = torch.zeros(3, 2), torch.tensor([0, 1, -100])
    >>> CrossEntropy(label_smoothing=0.1, weight=(1.0, 3.0)).mean(outputs, targets).item()  # log 2
    0.693...
    """

    label_smoothing: float = 0.0  # ε
    weight: tuple[float, ...] | None = None  # (C,) w; None: all 1
    ignore_index: int = -100  # the class of positions that are left out
    class_dim: int | None = None  # 1 or −1; None: told from the shapes of outputs and targets

    name = "cross_entropy"

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing <= 1:
            raise AnalysisError(f"label_smoothing must lie in [0, 1]; got {self.label_smoothing}")
        if self.class_dim not in (None, 1, -1):
            raise AnalysisError(f"class_dim must be 1 or −1; got {self.class_dim}")
        if self.weight is not None:
            object.__setattr__(self, "weight", tuple(float(value) for value in self.weight))
            if not all(0 <= value < math.inf for value in self.weight or ()) or not any(self.weight or ()):
                raise AnalysisError(f"class weights must be at least 0, and some above it; got {self.weight}")

    def fitted(self, outputs: Tensor, targets: Tensor) -> "CrossEntropy":
        """With `class_dim` decided."""
        if not isinstance(targets, Tensor):
            raise AnalysisError(f"targets must be a tensor for the cross-entropy; got {type(targets).__name__}")
        fitted = replace(self, class_dim=self._class_dim(outputs, targets))
        fitted.check(outputs, targets)
        return fitted

    def check(self, outputs: Tensor, targets: Tensor) -> None:
        """Classes from 0 to C − 1 or `ignore_index`, of an integer type; or probabilities of the classes."""
        num_classes = self._by_position(outputs).shape[2]
        if self.weight is not None and len(self.weight) != num_classes:
            raise AnalysisError(
                f"there must be a class weight for each of the model's {num_classes} outputs; got {len(self.weight)}"
            )
        if _soft(targets):
            if not ((targets >= 0) & (targets < math.inf)).all():
                raise AnalysisError("soft labels must be finite and at least 0; some are not")
            return
        counted = targets[targets != self.ignore_index]
        low, high = torch.stack(torch.aminmax(counted)).tolist() if counted.numel() else (0, 0)
        if low < 0 or high >= num_classes:
            raise AnalysisError(
                f"targets must lie in 0 … {num_classes - 1}, since the model has {num_classes} outputs; got "
                f"{low if low < 0 else high}; where positions are to be left out, name their class as ignore_index"
            )

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropies, in nats, weighted and summed over a sample's positions."""
        each = self._torch(outputs, targets, "none")
        return each if each.ndim == 1 else each.flatten(1).sum(1)

    def counts(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The weights of a sample's classes, summed over its positions; for soft labels the number of positions."""
        if _soft(targets):
            return outputs.new_full((len(outputs),), self._by_position(outputs).shape[1])
        kept = targets != self.ignore_index
        if self.weight is None:
            return kept.flatten(1).sum(1).to(outputs.dtype) if kept.ndim > 1 else kept.to(outputs.dtype)
        weights = outputs.new_tensor(self.weight)[targets.where(kept, 0).long()] * kept
        return weights.reshape(len(targets), -1).sum(1)

    def mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Weighted mean, in nats, by torch's own reduction: its round-off differs from that of `values`."""
        return self._torch(outputs, targets, "mean")

    def curvature(self, outputs: Tensor, targets: Tensor, U: Tensor) -> Tensor:
        """A p ∘ (u − ⟨p, u⟩), the same for u less its entry of the likeliest class.

        That entry is then zero, so no digits are lost to cancellation where p is close to 1.
        """
        p = self._by_position(outputs).softmax(dim=2)[:, None]  # (N, 1, d, C)
        U = self._by_position(U, extra=1)
        U = U - U.take_along_dim(p.argmax(dim=3, keepdim=True), dim=3)
        curved = p * (U - (p * U).sum(dim=3, keepdim=True))
        scale = self._scale(outputs, targets)
        curved = curved if scale is None else curved * scale[:, None, :, None]
        return self._as_outputs(curved, outputs)

    def root(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """√A diag(√p) times C − 1 columns of the Householder reflection that sends a unit vector to −√p.

        The unit vector is that of the likeliest class k, so that no entry loses digits to cancellation however
        confident the network is: r_j = q ∘ (e_j − q_j (q + e_k)/(1 + q_k)), q = √p, j ≠ k. A vector of one position is
        zero at the others.
        """
        by_position = self._by_position(outputs)
        num_samples, num_positions, num_classes = by_position.shape
        roots = _roots(by_position.flatten(0, 1)).unflatten(0, (num_samples, num_positions))  # (N, d, C − 1, C)
        scale = self._scale(outputs, targets)
        roots = roots if scale is None else roots * scale.sqrt()[:, :, None, None]
        if num_positions > 1:
            spread = roots.new_zeros(num_samples, num_positions, num_classes - 1, num_positions, num_classes)
            each = torch.arange(num_positions, device=roots.device)
            spread[:, each, :, each] = roots.transpose(0, 1)
            roots = spread
        return self._as_outputs(roots.reshape(num_samples, -1, num_positions, num_classes), outputs)

    def rank(self, shape: Sequence[int]) -> int:
        """C − 1 a position: the curvature does not see a shift of all its outputs."""
        num_classes = shape[-1 if self.class_dim == -1 else 0]
        return (num_classes - 1) * (math.prod(shape) // num_classes)

    def hits(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Positions whose largest output is that of the class (the likeliest of soft labels); and all that count."""
        found = self._by_position(outputs).argmax(2)
        if _soft(targets):
            right = found == self._by_position(targets).argmax(2)
            return right.sum(), torch.full_like(right, True).sum()
        classes = targets.reshape(len(targets), -1)
        kept = classes != self.ignore_index
        return ((found == classes) & kept).sum(), kept.sum()

    def chance(self, outputs: Tensor) -> float:
        """1/C."""
        return 1 / self._by_position(outputs).shape[2]

    def _class_dim(self, outputs: Tensor, targets: Tensor) -> int:
        """Which dimension of the outputs holds the classes."""
        if outputs.ndim < 2:
            raise AnalysisError(
                f"the model must return (N, C) outputs, or (N, C, …) or (N, …, C); got {tuple(outputs.shape)}; for one "
                "output a sample pass loss='bce'"
            )
        fitting = [dim for dim in (1, -1) if self._fits(outputs, targets, dim)]
        if not fitting:
            wanted = " or ".join(dict.fromkeys(_text(_positions(outputs, dim)) for dim in (1, -1)))
            raise AnalysisError(
                f"targets must be {wanted} integer classes for the cross-entropy, or soft labels of the outputs' shape "
                f"{_text(outputs.shape[1:])}; got shape {tuple(targets.shape)} of {targets.dtype}. For regression pass "
                "loss='mse'"
            )
        if outputs.ndim == 2:
            return 1
        if self.class_dim is not None and self.class_dim in fitting:
            return self.class_dim
        if len(fitting) > 1:
            raise AnalysisError(
                f"outputs {tuple(outputs.shape)} with targets {tuple(targets.shape)} leave open which dimension holds "
                "the classes; pass loss=CrossEntropy(class_dim=1) or CrossEntropy(class_dim=-1)"
            )
        return fitting[0]

    def _fits(self, outputs: Tensor, targets: Tensor, dim: int) -> bool:
        if self.class_dim not in (None, dim) and outputs.ndim > 2:
            return False
        if not _soft(targets):
            return targets.dtype != torch.bool and targets.shape[1:] == _positions(outputs, dim)
        if targets.shape[1:] != outputs.shape[1:]:
            return False
        if outputs.ndim == 2 or self.class_dim is not None:
            return True
        return bool((targets.sum(dim) - 1).abs().max() <= SUM_TOLERANCE)

    def _torch(self, outputs: Tensor, targets: Tensor, reduction: str) -> Tensor:
        """Torch's cross-entropy, which takes classes along dimension 1."""
        last, soft = self.class_dim == -1 and outputs.ndim > 2, _soft(targets)
        targets = targets.to(outputs.dtype) if soft else targets.long()
        return functional.cross_entropy(
            outputs.movedim(-1, 1) if last else outputs,
            targets.movedim(-1, 1) if last and soft else targets,
            weight=None if self.weight is None else outputs.new_tensor(self.weight),
            ignore_index=self.ignore_index,
            reduction=reduction,
            label_smoothing=self.label_smoothing,
        )

    def _scale(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """A (N, d); None where it is 1 at every position."""
        epsilon, w = self.label_smoothing, None if self.weight is None else outputs.new_tensor(self.weight)
        if _soft(targets):
            y = self._by_position(targets).to(outputs.dtype)
            smooth = (1 - epsilon) * y + epsilon / y.shape[2]
            return smooth.sum(2) if w is None else smooth @ w
        classes = targets.reshape(len(targets), -1)
        kept = classes != self.ignore_index
        if w is None:
            return None if kept.all() else kept.to(outputs.dtype)
        return ((1 - epsilon) * w[classes.where(kept, 0).long()] + epsilon * w.mean()) * kept

    def _by_position(self, outputs: Tensor, extra: int = 0) -> Tensor:
        """(N, …) as (N, d, C), or with one extra dimension (N, P, …) as (N, P, d, C)."""
        last = outputs if self.class_dim == -1 else outputs.movedim(1 + extra, -1)
        return last.reshape(*outputs.shape[: 1 + extra], -1, last.shape[-1])

    def _as_outputs(self, U: Tensor, outputs: Tensor) -> Tensor:
        """(N, P, d, C) in the shape of the outputs, (N, P, …)."""
        if self.class_dim == -1 or outputs.ndim == 2:
            return U.reshape(*U.shape[:2], *outputs.shape[1:])
        return U.movedim(3, 2).reshape(*U.shape[:2], *outputs.shape[1:])


def _soft(targets: Tensor) -> bool:
    return targets.is_floating_point()


def _positions(outputs: Tensor, class_dim: int) -> torch.Size:
    shape = list(outputs.shape[1:])
    shape.pop(0 if class_dim == 1 else -1)
    return torch.Size(shape)


def _text(shape: Sequence[int]) -> str:
    return f"(N, {', '.join(map(str, shape))})" if len(shape) else "(N,)"


def _roots(outputs: Tensor) -> Tensor:
    """(B, C − 1, C) vectors whose squares add up to diag(p) − p pᵀ, for (B, C) outputs."""
    num_rows, num_classes = outputs.shape
    q = (0.5 * outputs.log_softmax(dim=1)).exp()
    pivot = q.argmax(dim=1, keepdim=True)  # (B, 1)
    j = torch.arange(num_classes - 1, device=outputs.device).expand(num_rows, -1)
    j = j + (j >= pivot)  # (B, C − 1): every class but the pivot
    q_pivot = q.gather(1, pivot)
    reflected = q.scatter_add(1, pivot, torch.ones_like(q_pivot)) / (1 + q_pivot)
    roots = -q.gather(1, j)[:, :, None] * reflected[:, None, :]
    roots.scatter_add_(2, j[:, :, None], torch.ones_like(roots[:, :, :1]))
    return roots * q[:, None, :]
