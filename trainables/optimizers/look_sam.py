"""LookSAM: SAM whose second gradient is taken every few steps only (Liu et al. 2022, arXiv 2203.02714)."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from trainables.optimizers.sharpness_aware import Pass, SharpnessAware
from trainables.optimizers.step.shards import local, sharded_like
from trainables.optimizers.step.tensor_lists import TensorList, global_norm, scale_to_ball
from trainables.optimizers.step.two_gradients import (
    Gradients,
    add_multiple,
    beside,
    remember,
    remove_projection,
    write_back,
)


class LookSAM(SharpnessAware):
    """SAM's step every `period` steps, and between them a step with g + α (‖g‖/‖g_v‖) g_v (Algorithm 1).

    g_v = g_s − (g_s·g/‖g‖²) g is the part of SAM's gradient g_s = ∇L(w + ε) orthogonal to g, from the last step of SAM:
    it changes slowly, and leads to flat regions. It is 0 where g_s is parallel to g up to rounding. Norms and products
    are over all parameters; pytorch-optimizer's are over each tensor. A period of 1 is SAM.

    A step costs two passes every `period` steps and one in the others; `epsilon_norm` is that of the last step of SAM.
    Keeps g_v, a copy of the parameters. Clip with `base_optimizer.register_step_pre_hook`: before `second_step` it is
    g_s that would be clipped. Both gradients must be of the same batch over all workers: not under `no_sync`.

    Args:
        params: parameters, named parameters or groups of them; a group may have its own `rho`.
        base_optimizer: an optimizer class of torch, called with `params` and `base_kwargs`.
        rho: radius of the ball, ‖ε‖.
        period: k, steps from one step of SAM to the next, the first step being one.
        alpha: α, weight of g_v between them.
        bn_second_pass: "freeze" holds batch-norm's running statistics in the second pass, "update" lets them move.
        base_kwargs: lr, momentum, weight_decay, … of the base optimizer.

    Raises:
        ValueError: an argument outside its range.
    """

    _kept = ("sharp_direction",)

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: Callable[..., Optimizer] = torch.optim.SGD,
        rho: float = 0.05,
        *,
        period: int = 5,
        alpha: float = 0.7,
        bn_second_pass: Literal["freeze", "update"] = "freeze",
        **base_kwargs: Any,
    ) -> None:
        if period < 1:
            raise ValueError(f"period must be at least 1; got {period}")
        if not alpha >= 0:
            raise ValueError(f"alpha must be at least 0; got {alpha}")
        super().__init__(params, base_optimizer, rho, bn_second_pass, base_kwargs, {"steps_done": 0})
        self.period = period
        self.alpha = alpha
        self._first: Gradients = {}

    @property
    def active(self) -> bool:
        """Whether the next step is one of SAM."""
        return bool(self.progress("steps_done") % self.period == 0)

    def _perturb(self, lists: list[TensorList]) -> Tensor:
        self._first = remember(lists)
        return scale_to_ball(lists, itemgetter("rho"))

    def _finish(self, reached: Pass) -> None:
        if reached is Pass.PERTURBED:
            self._renew()
        else:
            self._turn()
        self._note(steps_done=self.progress("steps_done") + 1)

    def _renew(self) -> None:
        """Keep the part of g_s that is orthogonal to g; the step is SAM's."""
        lists = beside(self.param_groups, self._first)
        sharp = [[gradient.clone() for gradient in part.gradients] for part in lists]
        remove_projection(lists, of="gradients", on="spare")
        for part, unchanged in zip(lists, sharp, strict=True):
            for parameter, direction in zip(part.owners, part.gradients, strict=True):
                self.state[parameter]["sharp_direction"] = sharded_like(direction.clone(), parameter)
            torch._foreach_copy_(part.gradients, unchanged)
        self._first = {}

    def _turn(self) -> None:
        """g to g + α (‖g‖/‖g_v‖) g_v."""
        parameters = (p for group in self.param_groups for p in group["params"] if p in self.state)
        kept = {p: local(self.state[p]["sharp_direction"]) for p in parameters if "sharp_direction" in self.state[p]}
        lists = beside(self.param_groups, kept)
        norm = global_norm(lists, "spare")
        factor = torch.where(norm > 0, self.alpha * global_norm(lists) / norm, 0)
        for part in lists:
            add_multiple(part, "gradients", "spare", factor)
        write_back(lists)
