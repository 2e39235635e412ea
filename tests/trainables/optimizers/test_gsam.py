"""GSAM's step in closed form, its orthogonal part, and the radius that follows the learning rate."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.trainables.optimizers.networks import assert_same_state, batches, network, train
from tests.trainables.optimizers.quadratic import Quadratic, closure_of
from trainables.optimizers import GSAM, SAM

RHO, RATE, ALPHA = 0.1, 0.1, 0.4


def test_a_step_in_closed_form() -> None:
    model = Quadratic()
    optimizer = GSAM(model.named_parameters(), rho=RHO, alpha=ALPHA, lr=RATE)
    optimizer.step(closure_of(model))
    shift = RHO / math.sqrt(5)
    perturbed = (1 + shift, 2 + 8 * shift)
    share = (perturbed[0] + 2 * perturbed[1]) / (perturbed[0] ** 2 + perturbed[1] ** 2)
    final = [p - ALPHA * (g - share * p) for g, p in zip((1, 2), perturbed, strict=True)]
    assert model.weight.tolist() == pytest.approx([1 - RATE * final[0], 0.5 - RATE * final[1]], abs=1e-12)


def test_without_its_orthogonal_part_it_is_sam_bit_for_bit() -> None:
    plain, gap = network(), network()
    train(plain, SAM(plain.parameters(), rho=RHO, lr=RATE, momentum=0.9), batches(5))
    train(gap, GSAM(gap.parameters(), rho=RHO, alpha=0.0, lr=RATE, momentum=0.9), batches(5))
    for mine, other in zip(plain.parameters(), gap.parameters(), strict=True):
        assert torch.equal(mine, other)


@given(st.lists(st.floats(-10, 10), min_size=6, max_size=6), st.floats(0, 3))
def test_the_projection_on_the_second_gradient_is_not_changed(numbers: list[float], alpha: float) -> None:
    """final·g_p = ‖g_p‖², for any two gradients."""
    first, second = torch.tensor(numbers, dtype=torch.float64).reshape(2, 3)
    weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    optimizer = GSAM([weight], rho=RHO, alpha=alpha, lr=1.0)
    weight.grad = first.clone()
    optimizer.first_step()
    weight.grad = second.clone()
    optimizer.second_step()
    size = first.norm() * second.norm() + second.square().sum()
    assert abs(-weight.detach() @ second - second.square().sum()) <= 1e-12 * (1 + alpha) * size


def test_the_radius_follows_the_learning_rate_and_a_checkpoint() -> None:
    """ρ = .02 + .08 (lr − .01)/(.1 − .01)."""
    model = Quadratic()
    make: dict[str, Any] = {"rho": 0.1, "rho_min": 0.02, "lr": 0.1, "lr_min": 0.01}
    optimizer = GSAM(model.named_parameters(), **make)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2, eta_min=0.01)
    for expected in (0.1, 0.06, 0.02):
        optimizer.step(closure_of(model))
        assert optimizer.epsilon_norm.item() == pytest.approx(expected, abs=1e-12)
        scheduler.step()
        resumed = GSAM(model.named_parameters(), **{**make, "lr": optimizer.param_groups[0]["lr"] + 0.011})
        resumed.load_state_dict(optimizer.state_dict())
        assert resumed.radius(resumed.param_groups[0]) == optimizer.radius(optimizer.param_groups[0])


def test_saved_in_mid_training_it_goes_on_with_its_radius() -> None:
    straight, cut = network(), network()
    make: dict[str, Any] = {"rho": RHO, "rho_min": 0.0, "lr": RATE, "momentum": 0.9}
    train(straight, GSAM(straight.parameters(), **make), batches(6))
    optimizer = GSAM(cut.parameters(), **make)
    train(cut, optimizer, batches(6)[:3])
    resumed = GSAM(cut.parameters(), **make)
    resumed.load_state_dict(optimizer.state_dict())
    train(cut, resumed, batches(6)[3:])
    assert_same_state(straight, cut)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": -1.0}, "alpha must be at least 0; got -1.0"),
        ({"rho": 0.1, "rho_min": 0.2}, r"rho_min must be between 0 and rho \(0.1\); got 0.2"),
        ({"rho_min": 0.0, "lr_min": 0.2}, r"lr_min must be at least 0 and below lr \(0.1\); got 0.2"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GSAM([nn.Parameter(torch.ones(1))], lr=RATE, **arguments)
