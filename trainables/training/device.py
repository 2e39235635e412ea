"""Where tensors live."""

import torch


def default_device() -> torch.device:
    """The GPU that this process may use, where there is one; else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
