"""Vectors that are spread over many tensors: collected once, then processed by torch's foreach kernels."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class TensorList:
    """The parameters of one group, device and type that have a gradient, with the buffers that a step uses."""

    group: dict[str, Any]  # the parameter group, for its rho
    parameters: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)  # overwritten by ε
    spare: list[Tensor] = field(default_factory=list)  # scratch while ε is computed, then the weights as they were
    names: list[str | None] = field(default_factory=list)

    def scale_(self, factor: Tensor | float) -> None:
        """Multiply the gradients by a number or a 0-dimensional tensor, in place."""
        if isinstance(factor, Tensor):
            factor = factor.to(self.gradients[0])  # on another device or of another type there is no fused kernel
        torch._foreach_mul_(self.gradients, factor)


def gather(param_groups: list[dict[str, Any]]) -> list[TensorList]:
    """The parameters that have a gradient, in as few lists as foreach kernels allow."""
    lists: dict[tuple[int, torch.device, torch.dtype], TensorList] = {}
    for number, group in enumerate(param_groups):
        names = group.get("param_names") or [None] * len(group["params"])
        for parameter, name in zip(group["params"], names, strict=True):
            if parameter.grad is not None:
                chosen = lists.setdefault((number, parameter.device, parameter.dtype), TensorList(group))
                chosen.parameters.append(parameter)
                chosen.gradients.append(parameter.grad)
                chosen.spare.append(torch.empty_like(parameter))
                chosen.names.append(name)
    return list(lists.values())


def global_norm(tensors: Iterable[list[Tensor]], order: float = 2.0) -> Tensor:
    """(Σ|x|^order)^(1/order) over all elements of all lists, as a 0-dimensional float64 tensor on the first device.

    Powers are accumulated in float64, so entries from 1e-30 to 1e30 neither overflow nor vanish, in any type.
    """
    norms = [torch.stack(torch._foreach_norm(part, order, dtype=torch.float64)) for part in tensors]
    return length([torch.linalg.vector_norm(part, order) for part in norms], order)


def length(norms: list[Tensor], order: float = 2.0) -> Tensor:
    """The norm of a vector from the norms of its parts, on the first one's device."""
    total: Tensor = torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms]), order)
    return total


def inner_product(left: Iterable[Tensor], right: Iterable[Tensor]) -> Tensor:
    """Σ x·y over all elements of two lists of equal shapes, as a 0-dimensional float64 tensor on the first device."""
    products = [torch.sum(x * y, dtype=torch.float64) for x, y in zip(left, right, strict=True)]
    return torch.stack([product.to(products[0].device) for product in products]).sum()
