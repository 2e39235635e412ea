"""The gradients at w and at w + ε side by side, for optimizers whose last step uses both."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainables.optimizers.step.shards import local
from trainables.optimizers.step.tensor_lists import TensorList, gather, global_norm, inner_product

_ROUNDING = 8  # units of precision that a difference of two equal vectors may leave, relative to their norm
Gradients = dict[Tensor, Tensor]  # by parameter; of a sharded one this process's shard


def remember(lists: list[TensorList]) -> Gradients:
    """A copy of the gradients at w, of the loss that the base optimizer minimizes or maximizes."""
    kept: Gradients = {}
    for part in lists:
        copies = [gradient.clone() for gradient in part.gradients]
        if part.group.get("maximize"):
            torch._foreach_neg_(copies)
        kept.update(zip(part.owners, copies, strict=True))
    return kept


def beside(param_groups: list[dict[str, Any]], vector: Mapping[Tensor, Tensor]) -> list[TensorList]:
    """Lists of the present gradients, with the vector in their spare tensors: 0 where it has no part."""
    present = {p: p.grad for group in param_groups for p in group["params"] if p.grad is not None}
    lists = gather(param_groups, present)
    for part in lists:
        pairs = zip(part.owners, part.gradients, strict=True)
        part.spare = [vector[p] if p in vector else torch.zeros_like(gradient) for p, gradient in pairs]
    return lists


def remove_projection(lists: list[TensorList], of: str, on: str) -> None:
    """Subtract from one vector in the lists its projection on the other, in place: x ← x − (x·y/‖y‖²) y.

    What is left is set to 0 where it is no more than rounding: both gradients are parallel then, as at ρ = 0.
    """
    before, norm = global_norm(lists, of), global_norm(lists, on)
    factor = torch.where(norm > 0, -inner_product(lists, of, on) / norm.square(), 0)
    for part in lists:
        add_multiple(part, of, on, factor)
    precision = max(torch.finfo(part.gradients[0].dtype).eps for part in lists)
    left = global_norm(lists, of) > _ROUNDING * precision * before
    for part in lists:
        torch._foreach_mul_(getattr(part, of), left.to(part.gradients[0]))


def add_multiple(part: TensorList, to: str, of: str, factor: Tensor) -> None:
    """x ← x + factor·y, with a 0-dimensional factor, without waiting for the device."""
    target = getattr(part, to)
    torch._foreach_add_(target, torch._foreach_mul(getattr(part, of), factor.to(target[0])))


def write_back(lists: list[TensorList]) -> None:
    """Give the parameters the gradients in the lists; where these are not copies there is nothing to do."""
    for part in lists:
        if part.rounds:
            torch._foreach_copy_([local(parameter.grad) for parameter in part.owners], part.gradients)
