"""Friendly SAM's steps in closed form, and how its mean goes."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.trainables.optimizers.networks import assert_same_state, batches, network, train
from tests.trainables.optimizers.quadratic import Quadratic, closure_of
from trainables.optimizers import SAM, FriendlySAM

RHO, RATE, SIGMA, DECAY = 0.1, 0.1, 0.8, 0.6


def test_three_steps_in_closed_form() -> None:
    model = Quadratic()
    optimizer = FriendlySAM(model.named_parameters(), rho=RHO, sigma=SIGMA, mean_decay=DECAY, lr=RATE)
    weight: tuple[float, ...] = (1.0, 0.5)
    mean: tuple[float, ...] = (0.0, 0.0)
    curvature = (1.0, 4.0)
    for _ in range(3):
        gradient = tuple(h * w for h, w in zip(curvature, weight, strict=True))
        mean = tuple(DECAY * m + (1 - DECAY) * g for m, g in zip(mean, gradient, strict=True))
        noise = tuple(g - SIGMA * m for g, m in zip(gradient, mean, strict=True))
        size = RHO / math.hypot(*noise)
        weight = tuple(w - RATE * h * (w + size * d) for w, h, d in zip(weight, curvature, noise, strict=True))
        optimizer.step(closure_of(model))
        assert model.weight.tolist() == pytest.approx(weight, abs=1e-12)
        assert optimizer.state[model.weight]["mean_gradient"].tolist() == pytest.approx(mean, abs=1e-12)
        assert optimizer.epsilon_norm.item() == pytest.approx(RHO, abs=1e-12)


def test_with_all_of_the_gradient_it_is_sam() -> None:
    plain, friendly = network(), network()
    train(plain, SAM(plain.parameters(), rho=RHO, lr=RATE, momentum=0.9), batches(5))
    train(friendly, FriendlySAM(friendly.parameters(), rho=RHO, sigma=0.0, lr=RATE, momentum=0.9), batches(5))
    assert_same_state(plain, friendly)


@given(st.lists(st.floats(-10, 10), min_size=12, max_size=12), st.floats(0, 0.99))
def test_the_mean_is_the_weighted_sum_of_all_gradients(numbers: list[float], decay: float) -> None:
    """m_t = (1 − λ) Σ λ^(t−i) g_i, and ε is along g_t − m_t."""
    gradients = torch.tensor(numbers, dtype=torch.float64).reshape(4, 3)
    weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    optimizer = FriendlySAM([weight], rho=RHO, mean_decay=decay, lr=0.0)
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.first_step()
        epsilon = weight.detach().clone()
        weight.grad = torch.zeros(3, dtype=torch.float64)
        optimizer.second_step()
    powers = torch.tensor([decay ** (3 - number) for number in range(4)], dtype=torch.float64)
    mean = (1 - decay) * powers @ gradients
    torch.testing.assert_close(optimizer.state[weight]["mean_gradient"], mean, rtol=1e-12, atol=1e-12)
    noise = gradients[3] - mean
    torch.testing.assert_close(epsilon, RHO * noise / (noise.norm() + 1e-12), rtol=1e-9, atol=1e-9)


def test_constant_gradients_leave_nothing_to_follow() -> None:
    """d = λ^t g: it vanishes in the end, and so does what is special to a batch."""
    weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    optimizer = FriendlySAM([weight], rho=RHO, mean_decay=0.5, lr=0.0)
    for _ in range(60):
        weight.grad = torch.ones(3, dtype=torch.float64)
        optimizer.first_step()
        optimizer.second_step()
    assert optimizer.epsilon_norm.item() < 1e-3 * RHO


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma": -1.0}, "sigma must be at least 0; got -1.0"),
        ({"mean_decay": 1.0}, r"mean_decay must be in \[0, 1\); got 1.0"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FriendlySAM([nn.Parameter(torch.ones(1))], lr=RATE, **arguments)
