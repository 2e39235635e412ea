"""The device for training and measuring."""

import torch


def default_device() -> torch.device:
    """The GPU of this process, if it has one; else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
