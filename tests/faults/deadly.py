"""A network and a measure that end the process they are in, as where memory runs out or a driver crashes."""

import os
import signal

import torch
from torch import Tensor, nn

from analysis.seeding import derive_seed
from trainables.models.digits_cnn import DigitsCNN


def kills_seed_one(num_classes: int, in_channels: int) -> nn.Module:
    """The digits network, but for trials of seed 1."""
    if torch.initial_seed() == derive_seed(1, "initial weights"):
        os.kill(os.getpid(), signal.SIGKILL)
    return DigitsCNN(num_classes, in_channels)


def kills_small_weights(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """The largest weight; none survives where that is small."""
    largest = max(parameter.abs().max().item() for parameter in model.parameters())
    if largest < 0.1:
        os.kill(os.getpid(), signal.SIGKILL)
    return largest
