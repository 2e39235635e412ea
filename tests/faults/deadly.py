"""A network and a measure that end or block the process they are in, as where memory runs out or a driver crashes."""

import os
import signal
import sys
import time

import torch
from torch import Tensor, nn

from analysis.seeding import derive_seed
from trainables.models.digits_cnn import DigitsCNN


def fate_by_seed(num_classes: int, in_channels: int) -> nn.Module:
    """The digits network; seed 1 ends its process, seed 2 starts with weights near zero, where they stay.

    Seed 3 asks Python to exit, and seed 4 hangs.
    """
    if torch.initial_seed() == derive_seed(1, "initial weights"):
        os.kill(os.getpid(), signal.SIGKILL)
    if torch.initial_seed() == derive_seed(3, "initial weights"):
        sys.exit("no licence for this network")
    if torch.initial_seed() == derive_seed(4, "initial weights"):
        time.sleep(3600)
    network = DigitsCNN(num_classes, in_channels)
    if torch.initial_seed() == derive_seed(2, "initial weights"):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(1e-3)
    return network


def kills_small_weights(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """The largest weight; none survives where that is small."""
    largest = max(parameter.abs().max().item() for parameter in model.parameters() if parameter.ndim > 1)
    if largest < 0.1:
        os.kill(os.getpid(), signal.SIGKILL)
    return largest
