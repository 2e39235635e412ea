"""100 steps of SAM and ASAM on a ResNet-20 in float64, against released implementations."""

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.models.resnet import resnet20
from trainables.optimizers import ASAM, SAM

BASE: dict[str, Any] = {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}


def trained(make: Callable[[nn.Module], Any], first_pass_before_step: bool = False, steps: int = 100) -> Tensor:
    """The weights after some steps on random 8×8 images in batches of 4."""
    torch.manual_seed(0)
    model = resnet20().double()
    optimizer = make(model)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        inputs = torch.randn(4, 3, 8, 8, generator=generator, dtype=torch.float64)
        targets = torch.randint(10, (4,), generator=generator)

        def closure(inputs: Tensor = inputs, targets: Tensor = targets) -> Tensor:
            model.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            return loss

        if first_pass_before_step:
            closure()
        optimizer.step(closure)
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.fixture(autouse=True)
def quick(young_heap: None) -> None:
    """In every test."""


@pytest.fixture(scope="module")
def trained_by_sam() -> Tensor:
    return trained(lambda model: SAM(model.parameters(), rho=0.05, **BASE))


@pytest.fixture
def peer() -> Any:
    return importlib.import_module("pytorch_optimizer")


@pytest.fixture
def norm_in_double(peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep pytorch-optimizer's norm in float64.

    It rounds the norm to float32 whatever the weights' type. Those 6e-8 of ε are 1e-9 of the weights after a step and
    1e-2 after a hundred, so without this nothing could be told from rounding.
    """
    module = importlib.import_module("pytorch_optimizer.optimizer.sam")

    def squared_norm(groups: Any, **_: Any) -> Tensor:
        terms = [
            (parameter.grad * parameter.abs() if group["adaptive"] else parameter.grad).square().sum()
            for group in groups
            for parameter in group["params"]
        ]
        return torch.stack(terms).sum().reshape(1)

    monkeypatch.setattr(module, "get_global_gradient_norm", squared_norm)


@pytest.mark.usefixtures("norm_in_double")
def test_sam_equals_pytorch_optimizer(peer: Any, trained_by_sam: Tensor) -> None:
    theirs = trained(lambda model: peer.SAM(model.parameters(), torch.optim.SGD, rho=0.05, **BASE), True)
    torch.testing.assert_close(trained_by_sam, theirs, rtol=0, atol=1e-9)


@pytest.mark.usefixtures("norm_in_double")
def test_asam_equals_pytorch_optimizer(peer: Any) -> None:
    """With η = 0 and T on every parameter, as theirs is defined."""
    theirs = trained(lambda model: peer.SAM(model.parameters(), torch.optim.SGD, 0.5, adaptive=True, **BASE), True)
    ours = trained(lambda model: ASAM(model.parameters(), rho=0.5, eta=0.0, **BASE))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("adaptive", [False, True])
def test_one_step_equals_pytorch_optimizer_as_released(peer: Any, adaptive: bool) -> None:
    """Up to the rounding of its norm."""
    rho = 0.5 if adaptive else 0.05
    theirs = trained(
        lambda model: peer.SAM(model.parameters(), torch.optim.SGD, rho, adaptive=adaptive, **BASE), True, steps=1
    )
    if adaptive:
        ours = trained(lambda model: ASAM(model.parameters(), rho=rho, eta=0.0, **BASE), steps=1)
    else:
        ours = trained(lambda model: SAM(model.parameters(), rho=rho, **BASE), steps=1)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-7)


def test_sam_equals_sam_pytorch(trained_by_sam: Tensor) -> None:
    peer = importlib.import_module("sam")
    theirs = trained(lambda model: peer.SAM(model.parameters(), torch.optim.SGD(model.parameters(), **BASE), rho=0.05))
    torch.testing.assert_close(trained_by_sam, theirs, rtol=0, atol=1e-9)
