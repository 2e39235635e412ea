"""Rényi sharpness-aware minimization (the paper's Algorithm 2, with the sign of its eq. 11)."""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from trainables.optimizers.sharpness_aware import SharpnessAware
from trainables.optimizers.step.tensor_lists import TensorList, global_norm

Perturbation = Literal["paper", "power", "exact", "per_tensor"]


class RSAM(SharpnessAware):
    """SAM whose radius follows the Rényi concentration of the squared gradient, Q = Σ|u|^{2α}, u = g/‖g‖₂ (eqs. 9–12).

    With s = −sign(1 − α), so ascent for α > 1 and descent for α < 1:

        paper       ε = ρ s Q u/‖g‖                        ε·g = ρ s Q
        power       ε = ρ s sign(u)|u|^{2α−1}/‖g‖          the same ε·g, another direction
        exact       ε = ρ s (sign(u)|u|^{2α−1} − Q u)/‖g‖  along ∇_g Q; ε·g = 0
        per_tensor  paper, with Q = Σ_t ‖u_t‖^{2α} over the parameter tensors t

    `paper` is parallel to g: SAM with the radius ρQ/‖g‖, which grows without bound as the gradient vanishes. So log
    `epsilon_norm`, or set `max_eps_norm`. ε is not the gradient of the regularizer Q; `exact` is. `exact` holds one
    more copy of the parameters while ε is computed; the others need only the copy that every method keeps.

    Since ε is proportional to 1/‖g‖, the gradient must be the mean over the whole batch, not scaled, not clipped, and
    averaged over all workers. If a GradScaler is in use and has not unscaled it, that is an error.

    Args:
        params: parameters, named parameters or groups of them; a group may have its own `rho`.
        base_optimizer: an optimizer class of torch, called with `params` and `base_kwargs`.
        rho: strength; the paper uses 0.65 to 1.25.
        order: α > 0, not 1; the paper uses 1.1 and 1.2.
        perturbation: one of the four above; `power` and `exact` need α ≥ ½.
        warmup_epochs: number of epochs with plain steps of the base optimizer, counted by `end_epoch`.
        warmup_accuracy: plain steps until a validation accuracy is above this fraction, RSAM in all steps after.
        max_eps_norm: upper bound of ‖ε‖, None for none.
        min_grad_norm: below this ‖g‖, ε = 0, and the step is counted in `log_values()["zero_gradients"]`.
        bn_second_pass: "freeze" holds batch-norm's running statistics in the second pass, "update" lets them move.
        base_kwargs: lr, momentum, weight_decay, … of the base optimizer.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: Callable[..., Optimizer] = torch.optim.SGD,
        rho: float = 0.65,
        *,
        order: float = 1.2,
        perturbation: Perturbation = "paper",
        warmup_epochs: int = 0,
        warmup_accuracy: float | None = None,
        max_eps_norm: float | None = None,
        min_grad_norm: float = 1e-12,
        bn_second_pass: Literal["freeze", "update"] = "freeze",
        **base_kwargs: Any,
    ) -> None:
        if not (order > 0 and math.isfinite(order)) or order == 1:
            raise ValueError(f"order must be positive, finite and not 1; got {order}")
        if perturbation not in ("paper", "power", "exact", "per_tensor"):
            raise ValueError(f"perturbation must be 'paper', 'power', 'exact' or 'per_tensor'; got {perturbation!r}")
        if perturbation in ("power", "exact") and order < 0.5:
            raise ValueError(f"order must be at least 0.5 for perturbation {perturbation!r}; got {order}")
        if warmup_epochs < 0:
            raise ValueError(f"warmup_epochs must be at least 0; got {warmup_epochs}")
        if warmup_accuracy is not None and not (0 <= warmup_accuracy < 1 and warmup_epochs == 0):
            raise ValueError(f"warmup_accuracy must be in [0, 1), without warmup_epochs; got {warmup_accuracy}")
        if max_eps_norm is not None and not max_eps_norm > 0:
            raise ValueError(f"max_eps_norm must be positive; got {max_eps_norm}")
        progress = {"epochs_done": 0, "best_accuracy": 0.0, "zero_gradients": torch.zeros((), dtype=torch.int64)}
        super().__init__(params, base_optimizer, rho, bn_second_pass, base_kwargs, progress)
        self.order = order
        self.perturbation = perturbation
        self.warmup_epochs = warmup_epochs
        self.warmup_accuracy = warmup_accuracy
        self.max_eps_norm = max_eps_norm
        self.min_grad_norm = min_grad_norm
        self.concentration = torch.zeros(())

    @property
    def active(self) -> bool:
        """Whether the warm-up is over."""
        if self.warmup_accuracy is not None:
            return bool(self.progress("best_accuracy") > self.warmup_accuracy)
        return bool(self.progress("epochs_done") >= self.warmup_epochs)

    def end_epoch(self, validation_accuracy: float | None = None) -> None:
        """Count an epoch and keep the best accuracy. The warm-up depends on both, and checkpoints hold them."""
        best = max(self.progress("best_accuracy"), validation_accuracy or 0.0)
        self._note(epochs_done=self.progress("epochs_done") + 1, best_accuracy=best)

    def log_values(self) -> dict[str, Tensor]:
        """‖ε‖ and Q of the last step, and the number of steps with a zero gradient, as 0-dimensional tensors."""
        return {
            "epsilon_norm": self.epsilon_norm,
            "concentration": self.concentration,
            "zero_gradients": self.progress("zero_gradients"),
        }

    def _load_earlier(self, progress: dict[str, Any]) -> None:
        self._note(**{{"epoch": "epochs_done"}.get(name, name): value for name, value in progress.items()})

    def _perturb(self, lists: list[TensorList]) -> Tensor:
        size = global_norm(lists)
        vanished = size < self.min_grad_norm
        self._note(zero_gradients=self.progress("zero_gradients").to(size.device) + vanished)
        inverse = torch.where(vanished, 0, 1 / size)
        for part in lists:
            part.scale_(inverse)
        self.concentration = self._concentration(lists)
        sign = 1.0 if self.order > 1 else -1.0
        if self.perturbation in ("power", "exact"):
            self._turn(lists)
        else:
            inverse = inverse * self.concentration
        for part in lists:
            part.scale_(sign * part.group["rho"] * inverse)
        norm = global_norm(lists)
        if self.max_eps_norm is None:
            return norm
        for part in lists:
            part.scale_(torch.clamp(self.max_eps_norm / norm, max=1))
        return norm.clamp(max=self.max_eps_norm)

    def _concentration(self, lists: list[TensorList]) -> Tensor:
        """Q of the unit vector in the lists."""
        if self.perturbation == "per_tensor":
            norms = [part.norms() for part in lists]
            return torch.cat([norm.to(norms[0].device) for norm in norms]).pow(2 * self.order).sum()
        for part in lists:
            _absolute_power(part, 2 * self.order)
        return global_norm(lists, "spare", order=1)

    def _turn(self, lists: list[TensorList]) -> None:
        """Replace u by sign(u)|u|^{2α−1}, minus Q u for `exact`."""
        for part in lists:
            _absolute_power(part, 2 * self.order - 1)
            if self.perturbation == "exact":
                along = torch._foreach_mul(part.gradients, self.concentration.to(part.gradients[0]))
                torch._foreach_abs_(along)
                torch._foreach_sub_(part.spare, along)
            torch._foreach_sign_(part.gradients)
            torch._foreach_mul_(part.gradients, part.spare)


def _absolute_power(part: TensorList, exponent: float) -> None:
    """Fill the spare tensors with |u|^exponent."""
    torch._foreach_copy_(part.spare, part.gradients)
    torch._foreach_abs_(part.spare)
    torch._foreach_pow_(part.spare, exponent)
