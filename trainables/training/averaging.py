"""The exponential moving average of a network's weights over the steps of training."""

import copy
from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor, nn


class AveragedNetwork:
    """A copy of a network whose weights are w̄ ← β w̄ + (1 − β) w after each step; after the first step w̄ = w.

    Batch-norm's running statistics, and all other buffers of floating-point numbers, are averaged in the same way;
    integers, such as counts of batches, are those of the network. It is torch's `AveragedModel(multi_avg_fn=
    get_ema_multi_avg_fn(β), use_buffers=True)`, bit for bit but for the integers, which that rounds down.

    Costs a second copy of the weights, and a pass over them a step. The average reaches back about 1/(1 − β) steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay
        self.started = False  # whether a step has been averaged; a checkpoint is never before the first

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the weights after a step into the average."""
        pairs = list(zip(_tensors(self.network), _tensors(model), strict=True))
        averaged = [pair for pair in pairs if self.started and pair[0].is_floating_point()]
        copied = [pair for pair in pairs if not (self.started and pair[0].is_floating_point())]
        if averaged:
            torch._foreach_lerp_([mean for mean, _ in averaged], [new for _, new in averaged], 1 - self.decay)
        for mean, new in copied:
            mean.copy_(new)
        self.started = True


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers, each once."""
    return chain((parameter.detach() for parameter in model.parameters()), model.buffers())
