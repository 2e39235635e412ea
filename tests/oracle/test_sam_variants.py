"""100 steps of LookSAM, GSAM and Friendly SAM in float64, against pytorch-optimizer's."""

import copy
import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.trainables.optimizers.networks import closure_for
from trainables.optimizers import GSAM, FriendlySAM, LookSAM

BASE: dict[str, Any] = {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
Step = Callable[[Tensor, Tensor], Any]


@pytest.fixture(autouse=True)
def quick(young_heap: None) -> None:
    """In every test."""


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """pytorch-optimizer, whose norms are rounded to float32 unless they are computed here."""
    package = importlib.import_module("pytorch_optimizer")
    module = importlib.import_module("pytorch_optimizer.optimizer.sam")

    def squared_norm(groups: Any, **_: Any) -> Tensor:
        terms = [p.grad.square().sum() for group in groups for p in group["params"]]
        return torch.stack(terms).sum().reshape(1)

    monkeypatch.setattr(module, "get_global_gradient_norm", squared_norm)
    return package


def network(bias: bool = True) -> nn.Sequential:
    """A smooth perceptron, or one weight matrix alone."""
    torch.manual_seed(0)
    layers = [nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 4)] if bias else [nn.Linear(12, 4, bias=False)]
    return nn.Sequential(*layers).double()


def batches(count: int = 100) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(8, 12, generator=generator, dtype=torch.float64),
            torch.randint(4, (8,), generator=generator),
        )
        for _ in range(count)
    ]


def assert_close(left: nn.Module, right: nn.Module, tolerance: float) -> None:
    for mine, other in zip(left.parameters(), right.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=tolerance)


def test_gsam(peer: Any) -> None:
    class Constant:
        def step(self) -> float:
            return 0.1

    ours, theirs = network(), network()
    optimizer = GSAM(ours.parameters(), rho=0.1, alpha=0.4, **BASE)
    base = torch.optim.SGD(theirs.parameters(), **BASE)
    other = peer.GSAM(theirs.parameters(), base, theirs, Constant(), alpha=0.4)
    for inputs, targets in batches():
        optimizer.step(closure_for(ours, inputs, targets))
        other.set_closure(cross_entropy, inputs, targets)
        other.step()
    assert_close(ours, theirs, 1e-10)


def test_look_sam(peer: Any) -> None:
    """On a single tensor: theirs takes norms and products tensor by tensor, and adds 1e-8 to ‖g_v‖."""
    ours, theirs = network(bias=False), network(bias=False)
    optimizer = LookSAM(ours.parameters(), rho=0.1, period=4, alpha=0.7, **BASE)
    other = peer.LookSAM(theirs.parameters(), torch.optim.SGD, rho=0.1, k=4, alpha=0.7, **BASE)
    for inputs, targets in batches():
        optimizer.step(closure_for(ours, inputs, targets))
        closure = closure_for(theirs, inputs, targets)
        closure()
        if other.get_step() % 4:
            other.first_step()  # keeps the gradient: no second pass is due
            other.second_step()
        else:
            other.step(closure)
    assert_close(ours, theirs, 1e-5)


def test_friendly_sam(peer: Any) -> None:
    """At σ = 1, from the same m: theirs starts with the first gradient, ours with 0."""
    theirs = network()
    other = peer.FriendlySAM(theirs.parameters(), torch.optim.SGD, rho=0.1, sigma=1.0, lmbda=0.6, **BASE)
    first, *rest = batches()
    closure = closure_for(theirs, *first)
    closure()
    other.step(closure)
    ours = copy.deepcopy(theirs)
    optimizer = FriendlySAM(ours.parameters(), rho=0.1, sigma=1.0, mean_decay=0.6, **BASE)
    for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
        momentum = other.base_optimizer.state[its]["momentum_buffer"].clone()
        optimizer.state[mine].update(mean_gradient=other.state[its]["momentum"].clone(), momentum_buffer=momentum)
    for inputs, targets in rest:
        optimizer.step(closure_for(ours, inputs, targets))
        closure = closure_for(theirs, inputs, targets)
        closure()
        other.step(closure)
    assert_close(ours, theirs, 1e-10)
