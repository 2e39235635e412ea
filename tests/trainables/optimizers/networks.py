"""A small network with batch-norm, its data, and each optimizer ready to train it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.optimizers import ASAM, GSAM, RSAM, SAM, EigenSAM, FriendlySAM, LookSAM, SharpnessAware

# Each takes a model and the arguments of the base optimizer.
METHODS: dict[str, Callable[..., SharpnessAware]] = {
    "SAM": lambda model, **base: SAM(model.named_parameters(), rho=0.1, **base),
    "ASAM": lambda model, **base: ASAM(model.named_parameters(), rho=0.5, **base),
    "EigenSAM": lambda model, **base: EigenSAM(model.named_parameters(), rho=0.1, model=model, period=3, **base),
    "RSAM": lambda model, **base: RSAM(model.named_parameters(), rho=0.5, order=1.5, **base),
    "LookSAM": lambda model, **base: LookSAM(model.named_parameters(), rho=0.1, period=3, **base),
    "GSAM": lambda model, **base: GSAM(model.named_parameters(), rho=0.1, **base),
    "FriendlySAM": lambda model, **base: FriendlySAM(model.named_parameters(), rho=0.1, **base),
}


def network(seed: int = 0) -> nn.Sequential:
    """Convolution, batch-norm, ReLU, linear: (N, 1, 5, 5) to (N, 4), in float64."""
    torch.manual_seed(seed)
    layers = (nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 4))
    return nn.Sequential(*layers).double()


def batches(count: int, size: int = 16, seed: int = 1) -> list[tuple[Tensor, Tensor]]:
    """Random images and classes."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(size, 1, 5, 5, generator=generator, dtype=torch.float64),
            torch.randint(4, (size,), generator=generator),
        )
        for _ in range(count)
    ]


def closure_for(model: nn.Module, inputs: Tensor, targets: Tensor) -> Callable[[], Tensor]:
    """Clears the gradients, computes the mean cross-entropy, calls backward."""

    def closure() -> Tensor:
        model.zero_grad()
        loss = cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    return closure


def train(model: nn.Module, optimizer: Any, data: list[tuple[Tensor, Tensor]]) -> None:
    """One step a batch."""
    for inputs, targets in data:
        optimizer.step(closure_for(model, inputs, targets))


def assert_same_state(left: nn.Module, right: nn.Module) -> None:
    """Parameters and buffers agree bit for bit."""
    for (name, mine), (_, other) in zip(left.state_dict().items(), right.state_dict().items(), strict=True):
        assert torch.equal(mine, other), name
