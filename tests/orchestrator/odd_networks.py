"""Networks of users, each with something wrong; on 8×8 images of one channel."""

import datetime
import os
import signal
import sys
import time

import torch
from torch import Tensor, nn

from analysis.life import alive


def plain(num_classes: int, in_channels: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * 64, num_classes))


def seven(num_classes: int, in_channels: int) -> nn.Module:
    return plain(7, in_channels)


def thousand(num_classes: int, in_channels: int) -> nn.Module:
    return plain(1000, in_channels)


def per_pixel(num_classes: int, in_channels: int) -> nn.Module:
    return nn.Conv2d(in_channels, num_classes, 3)


def lazy(num_classes: int, in_channels: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))


class Returns(nn.Module):
    def __init__(self, inner: nn.Module, kind: str) -> None:
        super().__init__()
        self.inner, self.kind = inner, kind

    def forward(self, x: Tensor) -> object:
        logits = self.inner(x)
        if self.kind == "tuple in training":
            return (logits, x) if self.training else logits
        return {"tuple": (logits, x), "dict": {"logits": logits}, "nothing": None, "list": [logits]}[self.kind]


def returns_tuple(num_classes: int, in_channels: int) -> nn.Module:
    return Returns(plain(num_classes, in_channels), "tuple")


def returns_dict(num_classes: int, in_channels: int) -> nn.Module:
    return Returns(plain(num_classes, in_channels), "dict")


def auxiliary_head(num_classes: int, in_channels: int) -> nn.Module:
    return Returns(plain(num_classes, in_channels), "tuple in training")


def for_224_pixels(num_classes: int, in_channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(in_channels, 2, 16, stride=16), nn.Flatten(), nn.Linear(2 * 14 * 14, num_classes))


class Dated(nn.Sequential):
    def get_extra_state(self) -> object:
        return {"made": datetime.date(2024, 1, 1)}

    def set_extra_state(self, state: object) -> None:
        pass


def dated(num_classes: int, in_channels: int) -> nn.Module:
    return Dated(*plain(num_classes, in_channels))  # type: ignore[misc]


class Scaling(nn.Module):
    """Makes its buffer at the first training pass."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not hasattr(self, "scale"):
            self.register_buffer("scale", x.std().detach())
        outputs: Tensor = self.inner(x)
        return outputs


def late_buffer(num_classes: int, in_channels: int) -> nn.Module:
    return Scaling(plain(num_classes, in_channels))


def batch_norm(num_classes: int, in_channels: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * 64, 8), nn.BatchNorm1d(8), nn.Linear(8, num_classes))


class NotANumber(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.inner(x) + torch.zeros(()) / 0
        return outputs


def not_a_number(num_classes: int, in_channels: int) -> nn.Module:
    return NotANumber(plain(num_classes, in_channels))


def frozen(num_classes: int, in_channels: int) -> nn.Module:
    return plain(num_classes, in_channels).requires_grad_(False)


def no_module(num_classes: int, in_channels: int) -> object:
    return "a network"


def one_argument(num_classes: int) -> nn.Module:
    return plain(num_classes, 1)


def leaves(num_classes: int, in_channels: int) -> nn.Module:
    print("no weights at /data", flush=True)
    os._exit(3)


def gives_up(num_classes: int, in_channels: int) -> nn.Module:
    sys.exit("no weights at /data")


def interrupts(num_classes: int, in_channels: int) -> nn.Module:
    raise KeyboardInterrupt("stopped by a hook")


class Hanging(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        alive()
        while True:
            time.sleep(60)


def hangs(num_classes: int, in_channels: int) -> nn.Module:
    return Hanging(plain(num_classes, in_channels))


def crashes(num_classes: int, in_channels: int) -> nn.Module:
    os.kill(os.getpid(), signal.SIGKILL)
    return plain(num_classes, in_channels)


def takes_all_memory(num_classes: int, in_channels: int) -> nn.Module:
    return nn.Linear(2**25, 2**25)


def floods(num_classes: int, in_channels: int) -> nn.Module:
    while True:
        print("x" * 2**16)


def chatters(num_classes: int, in_channels: int) -> nn.Module:
    print("hello " * 2**16)
    return plain(num_classes, in_channels)


def hanging_measure(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    while True:
        time.sleep(60)


def exiting_measure(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    sys.exit("no licence")


def leaving_measure(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    os._exit(5)


NETWORK = 3
