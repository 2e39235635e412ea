"""A network that can't be made on one node: as where a driver is broken, or the data are not mounted."""

from pathlib import Path

import ray
from torch import nn

from trainables.models.digits_cnn import DigitsCNN

BROKEN_NODE_FILE = "RENYI_TEST_BROKEN_NODE"  # names a file that holds the id of the broken node


def fails_on_one_node(num_classes: int, in_channels: int) -> nn.Module:
    """The digits network, but on the broken node."""
    import os

    broken = Path(os.environ[BROKEN_NODE_FILE]).read_text()
    if ray.get_runtime_context().get_node_id() == broken:
        raise FileNotFoundError("/data is not mounted here")
    return DigitsCNN(num_classes, in_channels)
