"""ASAM's steps on a quadratic, worked out by hand, and which parameters it transforms."""

import math

import pytest
import torch

from tests.trainables.optimizers.quadratic import about, one_step
from trainables.optimizers import ASAM


@pytest.mark.parametrize(
    ("eta", "epsilon", "weight"),
    [
        (0.01, [0.0710651, 0.0362397], [0.8928935, 0.2855041]),
        (0.0, [0.0707107, 0.0353553], [0.8929289, 0.2858579]),
    ],
)
def test_asam(eta: float, epsilon: list[float], weight: list[float]) -> None:
    assert one_step(ASAM, rho=0.1, eta=eta) == (about(epsilon), about(weight))


def test_asam_transforms_weights_only_when_names_are_given() -> None:
    """Bias b = 2 has T = 1; given without a name it has T = |b| + η."""
    for named, transforms in ((True, (1.0, 1.0)), (False, (1.0, 2.0))):
        layer = torch.nn.Linear(1, 1).double()
        with torch.no_grad():
            layer.weight.fill_(1.0)
            layer.bias.fill_(2.0)
        optimizer = ASAM(layer.named_parameters() if named else layer.parameters(), rho=0.1, eta=0.0, lr=0.1)
        layer.weight.grad, layer.bias.grad = torch.tensor([[1.0]]).double(), torch.tensor([1.0]).double()
        optimizer.first_step()
        norm = math.hypot(*transforms)
        assert layer.weight.item() == pytest.approx(1.0 + 0.1 * transforms[0] ** 2 / norm)
        assert layer.bias.item() == pytest.approx(2.0 + 0.1 * transforms[1] ** 2 / norm)
