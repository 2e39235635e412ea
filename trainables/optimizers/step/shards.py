"""Parameters that are sharded over processes (FSDP2's DTensor), seen from one of the processes."""

import sys
from typing import Any

import torch
from torch import Tensor

Processes = tuple[Any, ...]  # process groups of torch.distributed


def is_sharded(tensor: Tensor) -> bool:
    """Whether this is a DTensor. Until its module was imported there is none."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local(tensor: Any) -> Tensor:
    """The part of the tensor that this process holds; all of it if the tensor is not sharded."""
    part: Tensor = tensor.to_local() if is_sharded(tensor) else tensor
    return part


def sharded_over(tensor: Any) -> Processes:
    """The process groups over which sums must run to be over the whole tensor; none if it is not sharded."""
    if not is_sharded(tensor):
        return ()
    return tuple(
        tensor.device_mesh.get_group(dimension)
        for dimension, placement in enumerate(tensor.placements)
        if not placement.is_replicate()
    )


def sharded_like(part: Tensor, parameter: Any) -> Tensor:
    """This process's part of a vector, as a tensor that is sharded as the parameter is."""
    if not is_sharded(parameter):
        return part
    whole: Tensor = sys.modules["torch.distributed.tensor"].DTensor.from_local(
        part,
        parameter.device_mesh,
        parameter.placements,
        run_check=False,
        shape=parameter.shape,
        stride=parameter.stride(),
    )
    return whole


def shard_of(whole: Tensor, parameter: Any) -> Tensor:
    """This process's part of a tensor that every process has, sharded as the parameter is."""
    if not is_sharded(parameter):
        return whole
    distribute = sys.modules["torch.distributed.tensor"].distribute_tensor
    return local(distribute(whole, parameter.device_mesh, parameter.placements, src_data_rank=None)).clone()


@torch.no_grad()
def has_nonzero(tensors: list[Tensor]) -> bool:
    """Whether any element of this process's parts is not 0. Waits for the device."""
    return any(bool(local(tensor).any()) for tensor in tensors)
