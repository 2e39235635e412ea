"""Sharpness-aware minimization (Foret et al. 2021, arXiv 2010.01412)."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from trainables.optimizers.sharpness_aware import SharpnessAware
from trainables.optimizers.step.tensor_lists import TensorList, length


class SAM(SharpnessAware):
    """A step with the gradient at the maximum of the linearized loss in a ball: ε = ρ g/(‖g‖₂ + 1e-12) (eq. 2).

    Equal to pytorch-optimizer's SAM but for three conventions: there the first gradient is computed before `step`, ‖g‖
    is rounded to float32 whatever the type of the weights, and batch-norm's running statistics move in the second pass
    too (`bn_second_pass="update"` here). sam-pytorch does not add 1e-12, and moves the running statistics too.

    Args:
        params: parameters, named parameters or groups of them; a group may have its own `rho`.
        base_optimizer: an optimizer class of torch, called with `params` and `base_kwargs`.
        rho: radius of the ball, ‖ε‖.
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
        bn_second_pass: Literal["freeze", "update"] = "freeze",
        **base_kwargs: Any,
    ) -> None:
        super().__init__(params, base_optimizer, rho, bn_second_pass, base_kwargs)

    def _perturb(self, lists: list[TensorList]) -> Tensor:
        sizes = [torch.linalg.vector_norm(part.norms()) for part in lists]
        norm = length(sizes) + 1e-12
        for part in lists:
            part.scale_(part.group["rho"] / norm)
        return length([part.group["rho"] * size for part, size in zip(lists, sizes, strict=True)]) / norm
