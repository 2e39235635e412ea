"""A network that one node can't make, as where a driver is broken or data are not mounted; and one that takes long."""

import os
import time
from pathlib import Path

from torch import Tensor, nn

from trainables.models.digits_cnn import DigitsCNN, digits_cnn_bn
from trainables.processes.worker import NODE_VARIABLE

BROKEN_NODE_FILE = "RENYI_TEST_BROKEN_NODE"  # names a file that holds the id of the broken node
SIEGE_FILE = "RENYI_TEST_SIEGE"  # names a file that is there as long as processes are killed


def fails_on_one_node(num_classes: int, in_channels: int) -> nn.Module:
    """The digits network, but on the broken node."""
    broken = Path(os.environ[BROKEN_NODE_FILE]).read_text()
    if os.environ.get(NODE_VARIABLE) == broken:
        raise FileNotFoundError("/data is not mounted here")
    return DigitsCNN(num_classes, in_channels)


class Slow(nn.Module):
    """A network whose training takes its time without work for the processor, so that there is something to kill.

    Once no more is killed it is as quick as any.
    """

    def __init__(self, network: nn.Module, seconds: float) -> None:
        super().__init__()
        self.network, self.seconds = network, seconds

    def forward(self, inputs: Tensor) -> Tensor:
        """The network's outputs, after a pause where it is trained under siege."""
        if self.training and Path(os.environ.get(SIEGE_FILE, "")).is_file():
            time.sleep(self.seconds)
        outputs: Tensor = self.network(inputs)
        return outputs


def slow(num_classes: int, in_channels: int) -> nn.Module:
    """The digits network with batch-norm; 20 ms a step."""
    return Slow(digits_cnn_bn(num_classes, in_channels), 0.02)
