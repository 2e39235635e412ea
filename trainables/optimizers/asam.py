"""Adaptive sharpness-aware minimization (Kwon et al. 2021, arXiv 2102.11600)."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from trainables.optimizers.sharpness_aware import SharpnessAware
from trainables.optimizers.step.tensor_lists import TensorList, global_norm


class ASAM(SharpnessAware):
    """SAM in a ball that scales with the weights: ε = ρ T²g/‖T g‖₂, T = diag(|w| + η) (eq. 10 and Algorithm 1).

    T applies to parameters with "weight" in their name, batch-norm scales included, and is the identity for others,
    as in the authors' code; parameters given without names all count as weights. pytorch-optimizer's adaptive SAM has
    η = 0, T on every parameter, 1e-12 added to ‖T g‖ and that norm rounded to float32, and moves batch-norm's running
    statistics in the second pass too.

    Args:
        params: parameters, named parameters or groups of them; a group may have its own `rho`.
        base_optimizer: an optimizer class of torch, called with `params` and `base_kwargs`.
        rho: radius of the ball, ‖T⁻¹ε‖.
        eta: η, so that weights near 0 are perturbed too.
        bn_second_pass: "freeze" holds batch-norm's running statistics in the second pass, "update" lets them move.
        base_kwargs: lr, momentum, weight_decay, … of the base optimizer.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: Callable[..., Optimizer] = torch.optim.SGD,
        rho: float = 0.5,
        *,
        eta: float = 0.01,
        bn_second_pass: Literal["freeze", "update"] = "freeze",
        **base_kwargs: Any,
    ) -> None:
        if not eta >= 0:
            raise ValueError(f"eta must be at least 0; got {eta}")
        super().__init__(params, base_optimizer, rho, bn_second_pass, base_kwargs)
        self.eta = eta

    def _perturb(self, lists: list[TensorList]) -> Tensor:
        # ε does not depend on the size of g. With g scaled to length 1 the products below can not underflow.
        size = global_norm(lists)
        for part in lists:
            part.scale_(_inverse(size))
            torch._foreach_copy_(part.spare, part.parameters)
            torch._foreach_abs_(part.spare)
            torch._foreach_add_(part.spare, self.eta)
            for name, transform in zip(part.names, part.spare, strict=True):
                if name is not None and "weight" not in name:
                    transform.fill_(1)
            torch._foreach_mul_(part.gradients, part.spare)
        norm = global_norm(lists)
        for part in lists:
            torch._foreach_mul_(part.gradients, part.spare)
            part.scale_(part.group["rho"] * _inverse(norm))
        return global_norm(lists)


def _inverse(norm: Tensor) -> Tensor:
    """1/norm, and 0 where the norm vanishes: its inverse must fit into float32."""
    return torch.where(norm > torch.finfo(torch.float32).tiny, 1 / norm, 0)
