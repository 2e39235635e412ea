"""What an optimizer that uses two gradients a step can't work with, refused as soon as it is known."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim import LBFGS, SparseAdam

from trainables.errors import TrainingError
from trainables.optimizers.step.tensor_lists import TensorList

_NOT_AS_BASE = {
    LBFGS: "it evaluates the closure itself, several times a step and at weights of its own choice",
    SparseAdam: "it takes sparse gradients only, and the gradient at w + ε is dense; use Adam",
}


def require_base(kind: Any) -> None:
    """Refuse a class of base optimizers that can't take the final step.

    Raises:
        ValueError: there is a reason why it can't.
    """
    for refused, reason in _NOT_AS_BASE.items():
        if isinstance(kind, type) and issubclass(kind, refused):
            raise ValueError(f"base_optimizer can not be {kind.__name__}: {reason}")


def require_group(group: dict[str, Any]) -> None:
    """Check rho and the parameters of a group.

    Raises:
        ValueError: rho is negative or not finite, or a parameter is sparse, complex or an integer.
    """
    if not (math.isfinite(group["rho"]) and group["rho"] >= 0):
        raise ValueError(f"rho must be finite and at least 0; got {group['rho']}")
    names = group.get("param_names") or [f"number {number} of its group" for number in range(len(group["params"]))]
    for name, parameter in zip(names, group["params"], strict=True):
        if parameter.layout is not torch.strided:
            raise ValueError(f"parameter {name} is sparse ({parameter.layout}); give its values to_dense()")
        if not parameter.is_floating_point():
            kind = str(parameter.dtype).removeprefix("torch.")
            raise ValueError(
                f"parameter {name} is {kind}, not of a real floating-point type; keep "
                "a complex weight as a real one with a last dimension of 2, and use torch.view_as_complex in forward"
            )


def require_finite(name: str, wanted: Tensor, added: Tensor, lists: list[TensorList]) -> None:
    """Check that w + ε fits into float16; other types have the range of ε. Waits for the device where there are some.

    Args:
        name: the optimizer's.
        wanted: ‖ε‖.
        added: the norm of the rounded ε, infinite or NaN where w + ε is.
        lists: the parameters.

    Raises:
        TrainingError: it does not fit.
    """
    if any(part.parameters[0].dtype is torch.float16 for part in lists) and not added.isfinite():
        raise TrainingError(
            f"{name}: w + ε with ‖ε‖ = {wanted.item():.3g} does not fit into float16, whose largest number is 65504; "
            "keep the weights in float32 and compute under torch.autocast, or make rho smaller (RSAM: set max_eps_norm)"
        )
