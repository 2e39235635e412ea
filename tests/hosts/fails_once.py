"""A network that can't be made the first time that it is asked for while a file is there: a fault that passes."""

from pathlib import Path

from torch import nn

from trainables.models.digits_cnn import DigitsCNN

FAULT = "/mnt/fault"  # the one process that removes it fails


def digits_cnn(num_classes: int, in_channels: int) -> nn.Module:
    """The digits network, but for one trial of all."""
    try:
        Path(FAULT).unlink()
    except FileNotFoundError:
        return DigitsCNN(num_classes, in_channels)
    raise RuntimeError("the machine had a bad moment")
