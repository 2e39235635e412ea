"""Surrogate gap guided sharpness-aware minimization (Zhuang et al. 2022, arXiv 2203.08065)."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from trainables.optimizers.sharpness_aware import Pass, SharpnessAware
from trainables.optimizers.step.tensor_lists import TensorList, scale_to_ball
from trainables.optimizers.step.two_gradients import Gradients, beside, remember, remove_projection, write_back


class GSAM(SharpnessAware):
    """SAM's ε, and a step with g_p − α g_⊥: g_p is the gradient at w + ε, g_⊥ the part of g orthogonal to it.

    This is the paper's Algorithm 1: the term in g_⊥ lowers the surrogate gap L(w + ε) − L(w), and does not change
    L(w + ε) to first order. α = 0 is SAM.

    With `rho_min` the radius follows the learning rate, ρ = rho_min + (rho − rho_min)(lr − lr_min)/(lr_max − lr_min),
    lr_max being the learning rate at construction. Without it ρ is constant.

    Clip with `base_optimizer.register_step_pre_hook`: before `second_step` it would be g_p that is clipped. A copy of g
    is kept from pass to pass. Both gradients must be of the same batch over all workers: not under `no_sync`.

    Args:
        params: parameters, named parameters or groups of them; a group may have its own `rho`.
        base_optimizer: an optimizer class of torch, called with `params` and `base_kwargs`.
        rho: radius of the ball, ‖ε‖; with `rho_min` the largest.
        alpha: α, weight of g_⊥.
        rho_min: radius at the learning rate `lr_min`; None for a constant radius.
        lr_min: the smallest learning rate of the schedule.
        bn_second_pass: "freeze" holds batch-norm's running statistics in the second pass, "update" lets them move.
        base_kwargs: lr, momentum, weight_decay, … of the base optimizer.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: Callable[..., Optimizer] = torch.optim.SGD,
        rho: float = 0.05,
        *,
        alpha: float = 0.4,
        rho_min: float | None = None,
        lr_min: float = 0.0,
        bn_second_pass: Literal["freeze", "update"] = "freeze",
        **base_kwargs: Any,
    ) -> None:
        if not alpha >= 0:
            raise ValueError(f"alpha must be at least 0; got {alpha}")
        if rho_min is not None and not 0 <= rho_min <= rho:
            raise ValueError(f"rho_min must be between 0 and rho ({rho}); got {rho_min}")
        super().__init__(params, base_optimizer, rho, bn_second_pass, base_kwargs)
        self.alpha = alpha
        self.rho_min = rho_min
        self.lr_min = lr_min
        self._first: Gradients = {}
        if rho_min is not None:
            for group in self.param_groups:
                if not 0 <= lr_min < group["lr"]:
                    raise ValueError(f"lr_min must be at least 0 and below lr ({group['lr']:g}); got {lr_min}")
                group["lr_of_rho"] = float(group["lr"])

    def radius(self, group: dict[str, Any]) -> Any:
        """ρ_t of a group of parameters, at its present learning rate."""
        if self.rho_min is None:
            return group["rho"]
        largest = group.setdefault("lr_of_rho", self.defaults["lr"])
        return self.rho_min + (group["rho"] - self.rho_min) * (group["lr"] - self.lr_min) / (largest - self.lr_min)

    def _perturb(self, lists: list[TensorList]) -> Tensor:
        self._first = remember(lists)
        return scale_to_ball(lists, self.radius)

    def _finish(self, reached: Pass) -> None:
        lists = beside(self.param_groups, self._first)
        remove_projection(lists, of="spare", on="gradients")
        for part in lists:
            torch._foreach_add_(part.gradients, part.spare, alpha=-self.alpha)
        write_back(lists)
        self._first = {}
