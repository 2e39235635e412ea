"""RSAM's steps on a quadratic, worked out by hand, and the properties that follow from its formula."""

import math
from typing import Any

import pytest
import torch

from tests.trainables.optimizers.quadratic import Quadratic, about, closure_of, one_step
from trainables.optimizers import RSAM


@pytest.mark.parametrize(
    ("order", "perturbation", "decay", "epsilon", "weight"),
    [
        (1.5, "paper", 0.0, [0.0160997, 0.0321994], [0.8983900, 0.2871202]),
        (1.5, "power", 0.0, [0.0089443, 0.0357771], [0.8991056, 0.2856892]),
        (1.5, "exact", 0.0, [-0.0071554, 0.0035777], [0.9007155, 0.2985689]),
        (1.2, "paper", 0.0, [0.0182008, 0.0364015], [0.8981799, 0.2854394]),
        (0.5, "paper", 0.0, [-0.0268328, -0.0536656], [0.9026833, 0.3214662]),
        (1.5, "paper", 0.01, [0.0160997, 0.0321994], [0.8973900, 0.2866202]),
    ],
)
def test_rsam(order: float, perturbation: str, decay: float, epsilon: list[float], weight: list[float]) -> None:
    found = one_step(RSAM, rho=0.1, order=order, perturbation=perturbation, weight_decay=decay)
    assert found == (about(epsilon), about(weight))


@pytest.mark.parametrize(("order", "concentration"), [(1.5, 0.8049845), (1.2, 0.9100379), (0.5, 1.3416408)])
def test_rsam_reports_its_concentration(order: float, concentration: float) -> None:
    model = Quadratic()
    optimizer = RSAM(model.parameters(), rho=0.1, order=order, lr=0.1)
    optimizer.step(closure_of(model))
    values = {name: value.item() for name, value in optimizer.log_values().items()}
    assert values["concentration"] == pytest.approx(concentration, abs=1e-7)
    assert values["epsilon_norm"] == pytest.approx(0.1 * concentration / math.sqrt(5))
    assert values["zero_gradients"] == 0


def test_rsam_per_tensor_sees_each_tensor_as_one_entry() -> None:
    """g = (3 | 0, 4): ‖g‖² = 25, tensors of norms 3 and 4, Q = 3^{2α}/5^{2α} + 4^{2α}/5^{2α}."""
    left, right = (torch.nn.Parameter(torch.zeros(size, dtype=torch.float64)) for size in (1, 2))
    optimizer = RSAM([left, right], rho=0.1, order=1.5, perturbation="per_tensor", lr=0.1)
    left.grad, right.grad = torch.tensor([3.0]).double(), torch.tensor([0.0, 4.0]).double()
    optimizer.first_step()
    expected = (3**3 + 4**3) / 5**3
    assert optimizer.concentration.item() == pytest.approx(expected)
    assert left.tolist() == about([0.1 * expected / 25 * 3])
    assert right.tolist() == about([0.0, 0.1 * expected / 25 * 4])


def epsilon_for(gradient: list[float], dtype: torch.dtype = torch.float64, **arguments: Any) -> torch.Tensor:
    """What RSAM with rho = 1 adds to weights of zero that have this gradient."""
    weight = torch.nn.Parameter(torch.zeros(len(gradient), dtype=dtype))
    weight.grad = torch.tensor(gradient, dtype=dtype)
    RSAM([weight], rho=1.0, lr=0.1, **arguments).first_step()
    return weight.detach()


@pytest.mark.parametrize("perturbation", ["paper", "power", "exact", "per_tensor"])
@pytest.mark.parametrize("order", [0.5, 1.1, 3.0])
def test_tenfold_gradient_gives_a_tenth_of_rsams_perturbation(perturbation: str, order: float) -> None:
    small = epsilon_for([0.3, -1.2, 0.0, 2.0], order=order, perturbation=perturbation)
    large = epsilon_for([3.0, -12.0, 0.0, 20.0], order=order, perturbation=perturbation)
    torch.testing.assert_close(large, small / 10)


@pytest.mark.parametrize("order", [0.5, 0.7, 1.3, 2.0])
def test_inner_products_of_rsams_perturbations_with_the_gradient(order: float) -> None:
    """ε·g = −ρ·sign(1 − α)·Q for `paper` and `power` (eq. 12), and 0 for `exact`."""
    gradient = torch.tensor([0.3, -1.2, 0.0, 2.0], dtype=torch.float64)
    unit = gradient / gradient.norm()
    expected = unit.abs().pow(2 * order).sum() * (1 if order > 1 else -1)
    if order == 0.5:
        expected = -unit.abs().sum()
    for perturbation in ("paper", "power"):
        epsilon = epsilon_for(gradient.tolist(), order=order, perturbation=perturbation)
        torch.testing.assert_close(epsilon @ gradient, expected)
    exact = epsilon_for(gradient.tolist(), order=order, perturbation="exact")
    assert abs(exact @ gradient) < 1e-12


def test_exact_is_along_the_gradient_of_the_concentration() -> None:
    gradient = torch.tensor([0.3, -1.2, 0.1, 2.0], dtype=torch.float64, requires_grad=True)
    order = 1.3
    concentration = gradient.abs().pow(2 * order).sum() / gradient.square().sum().pow(order)
    (slope,) = torch.autograd.grad(concentration, gradient)
    epsilon = epsilon_for(gradient.tolist(), order=order, perturbation="exact")
    torch.testing.assert_close(epsilon, slope / (2 * order))


def test_limit_of_order_one_is_the_gradient_over_its_square() -> None:
    gradient = torch.tensor([0.3, -1.2, 0.1, 2.0], dtype=torch.float64)
    for order, sign in ((1 + 1e-9, 1), (1 - 1e-9, -1)):
        epsilon = epsilon_for(gradient.tolist(), order=order)
        torch.testing.assert_close(epsilon, sign * gradient / gradient.square().sum(), rtol=1e-7, atol=0)


@pytest.mark.parametrize("size", [1e-30, 1e-15, 1.0, 1e15, 1e30])
@pytest.mark.parametrize("order", [0.1, 0.5, 1.2, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rsam_at_every_size_of_gradient(size: float, order: float, dtype: torch.dtype) -> None:
    """Q does not depend on the size, and ‖ε‖ = ρQ/‖g‖ is a number of float32 from 1e-30 to 1e30."""
    shape = torch.linspace(-1, 1, 1001, dtype=torch.float64)
    unit = shape / shape.norm()
    weight = torch.nn.Parameter(torch.zeros(1001, dtype=dtype))
    weight.grad = (shape * size).to(dtype)
    optimizer = RSAM([weight], rho=1.0, order=order, min_grad_norm=0.0, lr=0.1)
    optimizer.first_step()
    expected = unit.abs().pow(2 * order).sum().item()
    assert optimizer.concentration.item() == pytest.approx(expected, rel=1e-5)
    assert optimizer.epsilon_norm.item() == pytest.approx(expected / (size * shape.norm().item()), rel=1e-5)
    direction = weight.detach().double() / optimizer.epsilon_norm
    torch.testing.assert_close(direction, unit * (1 if order > 1 else -1), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("perturbation", ["paper", "power", "exact", "per_tensor"])
def test_vanished_gradient_leaves_the_weights_and_is_counted(perturbation: Any) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = RSAM([weight], perturbation=perturbation, order=0.5, lr=0.1)
    for gradient in (0.0, 1e-14):
        weight.grad = torch.full((3,), gradient)
        optimizer.first_step()
        assert weight.tolist() == [1.0, 1.0, 1.0]
        weight.grad = torch.zeros(3)
        optimizer.second_step()
    assert optimizer.log_values()["zero_gradients"].item() == 2


def test_cap_on_the_perturbation() -> None:
    assert epsilon_for([1e-3, 0.0], order=1.5, max_eps_norm=0.2).tolist() == about([0.2, 0.0])
    assert epsilon_for([10.0, 0.0], order=1.5, max_eps_norm=0.2).tolist() == about([0.1, 0.0])
    assert epsilon_for([0.0, 0.0], order=1.5, max_eps_norm=0.2).tolist() == [0.0, 0.0]
