"""A measure that ends the process which takes it, as where memory runs out or a driver crashes, for some networks."""

import os
import signal

from torch import Tensor, nn


def kills_small_weights(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """The largest weight; none survives where that is small."""
    largest = max(parameter.abs().max().item() for parameter in model.parameters())
    if largest < 0.1:
        os.kill(os.getpid(), signal.SIGKILL)
    return largest
