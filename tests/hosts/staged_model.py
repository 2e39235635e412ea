"""A network of which the test says when it can be made, and that once it can't: what happens to trials on a cluster."""

import time
from pathlib import Path

from torch import nn

from trainables.models.digits_cnn import DigitsCNN

GATE = "/mnt/gate"  # while this file is there, trials wait
FAULT = "/mnt/fault"  # the one process that removes it fails, as of a fault that passes


def digits_cnn(num_classes: int, in_channels: int) -> nn.Module:
    """The digits network, but for one trial of all."""
    while Path(GATE).exists():
        time.sleep(0.1)
    try:
        Path(FAULT).unlink()
    except FileNotFoundError:
        return DigitsCNN(num_classes, in_channels)
    raise RuntimeError("the machine had a bad moment")
