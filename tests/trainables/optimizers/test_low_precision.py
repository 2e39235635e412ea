"""Weights in float16 and bfloat16: ε is computed in float32, what is rounded is accounted for, overflow is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from trainables.errors import TrainingError
from trainables.optimizers import ASAM, GSAM, RSAM, SAM, EigenSAM, FriendlySAM, LookSAM, SharpnessAware

HALF = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
NUMBER = 1000


def leaning(weight: nn.Parameter, **arguments: Any) -> EigenSAM:
    optimizer = EigenSAM([weight], model=nn.Identity(), **arguments)
    vector = torch.linspace(-1, 1, NUMBER, dtype=torch.float64)
    vector /= vector.norm()
    kept = torch.promote_types(weight.dtype, torch.float32)
    optimizer.state[weight].update(eigenvector=vector.to(kept), eigenvector_updates=1)
    return optimizer


MAKE: dict[str, Callable[..., SharpnessAware]] = {
    "SAM": lambda weight: SAM([weight], rho=0.05, lr=0.1),
    "ASAM": lambda weight: ASAM([weight], rho=0.05, lr=0.1),
    "EigenSAM": lambda weight: leaning(weight, rho=0.05, lr=0.1),
    "RSAM": lambda weight: RSAM([weight], rho=0.65, order=1.2, max_eps_norm=0.05, lr=0.1),
    "power": lambda weight: RSAM([weight], order=1.2, perturbation="power", max_eps_norm=0.05, lr=0.1),
    "exact": lambda weight: RSAM([weight], order=1.2, perturbation="exact", max_eps_norm=0.05, lr=0.1),
    "LookSAM": lambda weight: LookSAM([weight], rho=0.05, period=3, lr=0.1),
    "GSAM": lambda weight: GSAM([weight], rho=0.05, lr=0.1),
    "FriendlySAM": lambda weight: FriendlySAM([weight], rho=0.05, lr=0.1),
}


def weight_and_gradient(dtype: torch.dtype, size: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers that the type can hold, so that float64 knows the same ones."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(NUMBER, generator=generator).mul(0.01).to(dtype)
    return weight, torch.randn(NUMBER, generator=generator).mul(size).to(dtype)


def moved(name: str, weight: torch.Tensor, gradient: torch.Tensor) -> tuple[torch.Tensor, SharpnessAware, nn.Parameter]:
    """w + ε."""
    parameter = nn.Parameter(weight.clone())
    parameter.grad = gradient.clone()
    optimizer = MAKE[name](parameter)
    assert optimizer.first_step()
    return parameter.detach().clone(), optimizer, parameter


@HALF
@pytest.mark.parametrize("name", list(MAKE))
@pytest.mark.parametrize("size", [1e-6, 1.0, 100.0])
def test_perturbed_weights_are_those_of_float64_rounded_once(name: str, size: float, dtype: torch.dtype) -> None:
    """And ‖ε‖ is that of what was added."""
    weight, gradient = weight_and_gradient(dtype, size)
    exact, *_ = moved(name, weight.double(), gradient.double())
    found, optimizer, parameter = moved(name, weight, gradient)
    assert found.isfinite().all()
    spacing = torch.finfo(dtype).eps * exact.abs() + torch.finfo(dtype).smallest_normal
    assert ((found.double() - exact).abs() <= 0.51 * spacing + 1e-7 * exact.abs()).all()
    added = (found.double() - weight.double()).norm().item()
    assert optimizer.epsilon_norm.item() == pytest.approx(added, rel=1e-5)
    optimizer.restore()
    assert torch.equal(parameter, weight)


def test_weights_beyond_float16_are_refused_with_the_numbers() -> None:
    """RSAM's ε grows as 1/‖g‖: here ‖ε‖ = .65·Q/‖g‖ is about 2e5."""
    weight, gradient = weight_and_gradient(torch.float16, 1e-7)
    parameter = nn.Parameter(weight.clone())
    parameter.grad = gradient.zero_()
    parameter.grad[0] = 3e-6
    optimizer = RSAM([parameter], rho=0.65, order=1.2, lr=0.1)
    with pytest.raises(TrainingError, match=r"RSAM: w \+ ε with ‖ε‖ = 2\.\d*e\+05 .* 65504; .*autocast.*max_eps_norm"):
        optimizer.first_step()
    assert torch.equal(parameter, weight)
    parameter.grad = torch.ones_like(parameter)
    assert optimizer.first_step(), "it can go on"


@HALF
def test_eigenvector_of_coarse_weights_is_kept_in_float32(dtype: torch.dtype) -> None:
    weight = nn.Parameter(torch.ones(3, dtype=dtype))
    optimizer = EigenSAM([weight], model=nn.Identity(), iterations=40, lr=0.1)
    curvature = torch.tensor([1.0, 2.0, 8.0], dtype=dtype)
    optimizer.update_eigenvector(lambda: (0.5 * curvature * weight.square()).sum().backward())
    vector = optimizer.state[weight]["eigenvector"]
    assert vector.dtype == torch.float32
    assert vector.abs().tolist() == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)
    assert optimizer.eigenvalue.item() == pytest.approx(8.0)


@HALF
def test_gradients_made_of_two_are_rounded_once(dtype: torch.dtype) -> None:
    """GSAM's final gradient, and LookSAM's of its second step, are those of float32 in the type of the weights."""
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(NUMBER, generator=generator).to(dtype) for _ in range(4)]
    for name in ("GSAM", "LookSAM"):
        found = []
        for kind in (dtype, torch.float32):
            weight = nn.Parameter(torch.zeros(NUMBER, dtype=kind))
            optimizer = MAKE[name](weight)
            for first, second in (gradients[:2], gradients[2:]):
                weight.grad = first.to(kind, copy=True)
                if optimizer.first_step():
                    weight.grad = second.to(kind, copy=True)
                optimizer.second_step()
            assert weight.grad is not None
            found.append(weight.grad)
        assert torch.equal(found[0], found[1].to(dtype)), name


@HALF
@pytest.mark.parametrize("name", list(MAKE))
def test_training_in_half_precision_goes_down(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.Linear(NUMBER, 1).to(dtype)
    target = torch.randn(NUMBER, dtype=dtype) / 30
    optimizer = MAKE[name](model.weight)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (model.weight[0] - target).float().square().sum()
        loss.backward()
        return loss.detach()

    if isinstance(optimizer, EigenSAM):
        optimizer.state.clear()
    first = optimizer.step(closure)
    for _ in range(20):
        last = optimizer.step(closure)
    assert last < 0.2 * first
