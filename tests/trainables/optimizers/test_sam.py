"""SAM's step on a quadratic, worked out by hand, and its norms."""

import math

import pytest
import torch

from tests.trainables.optimizers.quadratic import about, one_step
from trainables.optimizers import SAM


def test_sam() -> None:
    epsilon, weight = one_step(SAM, rho=0.1)
    assert epsilon == about([0.0447214, 0.0894427])
    assert weight == about([0.8955279, 0.2642229])


def test_each_group_has_its_own_rho_around_one_global_norm() -> None:
    first, second = (torch.nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(2))
    optimizer = SAM([{"params": [first], "rho": 0.1}, {"params": [second], "rho": 0.2}], lr=0.1)
    first.grad, second.grad = torch.tensor([3.0]).double(), torch.tensor([4.0]).double()
    optimizer.first_step()
    assert [first.item(), second.item()] == pytest.approx([0.1 * 3 / 5, 0.2 * 4 / 5])
    assert optimizer.epsilon_norm.item() == pytest.approx(math.hypot(0.06, 0.16))
