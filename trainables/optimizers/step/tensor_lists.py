"""Vectors that are spread over tensors and processes: collected once, then processed by torch's foreach kernels."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from trainables.errors import TrainingError
from trainables.optimizers.step.shards import Processes, local, sharded_over


@dataclass
class TensorList:
    """The parameters of one group, device, type and sharding that have a gradient, with the buffers that a step uses.

    Of a sharded parameter (FSDP2's DTensor) all tensors are the shard of this process. Gradients and spare tensors of
    float16 and bfloat16 parameters are float32: ρ/‖g‖ and ε need not fit into the type of the weights.
    """

    group: dict[str, Any]  # the parameter group, for its rho
    processes: Processes = ()  # over which its tensors are sharded; empty where they are whole
    owners: list[Tensor] = field(default_factory=list)  # the parameters, as the optimizer was given them
    parameters: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)  # overwritten by ε
    spare: list[Tensor] = field(default_factory=list)  # scratch while ε is computed, then the weights as they were
    names: list[str | None] = field(default_factory=list)

    @property
    def rounds(self) -> bool:
        """Whether w + ε is rounded to a type that is coarser than that in which ε is computed."""
        return self.parameters[0].dtype != self.gradients[0].dtype

    def scale_(self, factor: Tensor | float) -> None:
        """Multiply the gradients by a number or a 0-dimensional tensor, in place."""
        if isinstance(factor, Tensor):
            factor = factor.to(self.gradients[0])  # on another device or of another type there is no fused kernel
        torch._foreach_mul_(self.gradients, factor)

    def norms(self, of: str = "gradients", order: float = 2.0) -> Tensor:
        """(Σ|x|^order)^(1/order) of each tensor with all its shards: (number of tensors,), float64."""
        norms = torch.stack(torch._foreach_norm(getattr(self, of), order, dtype=torch.float64))
        return self.summed(norms.pow(order)).pow(1 / order) if self.processes else norms

    def summed(self, values: Tensor) -> Tensor:
        """The values summed over the processes that share these tensors."""
        for group in self.processes:
            torch.distributed.all_reduce(values, group=group)
        return values


def working_type(dtype: torch.dtype) -> torch.dtype:
    """The type in which ε is computed: at least float32."""
    return torch.promote_types(dtype, torch.float32)


def gather(param_groups: list[dict[str, Any]], vector: Mapping[Tensor, Tensor] | None = None) -> list[TensorList]:
    """The parameters that have a gradient, in as few lists as foreach kernels allow.

    Args:
        param_groups: the optimizer's.
        vector: what to take for the gradients, by parameter; then there are no spare tensors. None for the gradients.

    Raises:
        TrainingError: a gradient is sparse.
    """
    lists: dict[tuple[Any, ...], TensorList] = {}
    for number, group in enumerate(param_groups):
        names = group.get("param_names") or [None] * len(group["params"])
        for parameter, name in zip(group["params"], names, strict=True):
            gradient = parameter.grad if vector is None else vector.get(parameter)
            if gradient is None:
                continue
            if gradient.layout is not torch.strided:
                what = name or f"a parameter of shape {tuple(parameter.shape)}"
                raise TrainingError(f"the gradient of {what} is sparse, but ε is dense; set the layer's sparse=False")
            own, processes = local(parameter), sharded_over(parameter)
            part = lists.setdefault((number, own.device, own.dtype, processes), TensorList(group, processes))
            part.owners.append(parameter)
            part.parameters.append(own)
            part.gradients.append(local(gradient).to(working_type(own.dtype)))
            if vector is None:
                part.spare.append(torch.empty_like(own, dtype=working_type(own.dtype)))
            part.names.append(name)
    return list(lists.values())


def global_norm(lists: Iterable[TensorList], of: str = "gradients", order: float = 2.0) -> Tensor:
    """(Σ|x|^order)^(1/order) over all elements of all lists, as a 0-dimensional float64 tensor on the first device.

    Powers are accumulated in float64, so entries from 1e-30 to 1e30 neither overflow nor vanish, in any type.
    """
    return length([torch.linalg.vector_norm(part.norms(of, order), order) for part in lists], order)


def length(norms: list[Tensor], order: float = 2.0) -> Tensor:
    """The norm of a vector from the norms of its parts, on the first one's device."""
    total: Tensor = torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms]), order)
    return total


def inner_product(lists: Iterable[TensorList], left: str = "gradients", right: str = "spare") -> Tensor:
    """Σ x·y over all elements of two vectors in the lists, as a 0-dimensional float64 tensor on the first device."""
    products = []
    for part in lists:
        pairs = zip(getattr(part, left), getattr(part, right), strict=True)
        products.append(part.summed(torch.stack([torch.sum(x * y, dtype=torch.float64) for x, y in pairs])))
    return torch.cat([product.to(products[0].device) for product in products]).sum()


def scale_to_ball(lists: list[TensorList], radius: Callable[[dict[str, Any]], Any]) -> Tensor:
    """Overwrite the gradients d by ε = ρ d/(‖d‖ + 1e-12), ρ the radius of each group; returns ‖ε‖."""
    norm = global_norm(lists) + 1e-12
    for part in lists:
        part.scale_(radius(part.group) / norm)
    return global_norm(lists)


def add(lists: list[TensorList]) -> Tensor | None:
    """Add the gradients (ε) to the parameters; the norm of what that changed, None where ε was not rounded."""
    for part in lists:
        torch._foreach_add_(part.parameters, part.gradients)
    rounded = [part for part in lists if part.rounds]
    for part in rounded:
        torch._foreach_copy_(part.gradients, part.parameters)
        torch._foreach_sub_(part.gradients, part.spare)
    return global_norm(lists) if rounded else None
