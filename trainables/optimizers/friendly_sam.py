"""Friendly sharpness-aware minimization (Li et al. 2024, arXiv 2403.12350)."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from trainables.optimizers.sharpness_aware import SharpnessAware
from trainables.optimizers.step.shards import local
from trainables.optimizers.step.tensor_lists import TensorList, scale_to_ball


class FriendlySAM(SharpnessAware):
    """SAM along the noise of the gradient: ε = ρ d/(‖d‖ + 1e-12), d = g − σ m, m ← λ m + (1 − λ) g from m = 0.

    m estimates the gradient of all samples, so d is what is special to this batch. With σ = 0 it is SAM.

    The authors' code subtracts the m of the step before, and starts with m = g. For σ = 1 that d is 1/λ times this one,
    so ε is the same from the same m; only the start differs.

    Keeps m, a copy of the parameters.

    Args:
        params: parameters, named parameters or groups of them; a group may have its own `rho`.
        base_optimizer: an optimizer class of torch, called with `params` and `base_kwargs`.
        rho: radius of the ball, ‖ε‖.
        sigma: σ, how much of the mean is taken out.
        mean_decay: λ, in [0, 1).
        bn_second_pass: "freeze" holds batch-norm's running statistics in the second pass, "update" lets them move.
        base_kwargs: lr, momentum, weight_decay, … of the base optimizer.

    Raises:
        ValueError: an argument outside its range.
    """

    _kept = ("mean_gradient",)

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: Callable[..., Optimizer] = torch.optim.SGD,
        rho: float = 0.1,
        *,
        sigma: float = 1.0,
        mean_decay: float = 0.6,
        bn_second_pass: Literal["freeze", "update"] = "freeze",
        **base_kwargs: Any,
    ) -> None:
        if not sigma >= 0:
            raise ValueError(f"sigma must be at least 0; got {sigma}")
        if not 0 <= mean_decay < 1:
            raise ValueError(f"mean_decay must be in [0, 1); got {mean_decay}")
        super().__init__(params, base_optimizer, rho, bn_second_pass, base_kwargs)
        self.sigma = sigma
        self.mean_decay = mean_decay

    def _perturb(self, lists: list[TensorList]) -> Tensor:
        self._make_state()
        for part in lists:
            means = [local(self.state[parameter]["mean_gradient"]) for parameter in part.owners]
            torch._foreach_mul_(means, self.mean_decay)
            torch._foreach_add_(means, part.gradients, alpha=1 - self.mean_decay)
            torch._foreach_add_(part.gradients, means, alpha=-self.sigma)
        return scale_to_ball(lists, itemgetter("rho"))
