import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import UndefinedMeasureError
from analysis.sharpness import loss_landscape
from analysis.sharpness.measures.n_step import ascend, worst_case_sharpness
from analysis.sharpness.measures.one_step import Ball, one_step_sharpness
from tests.analysis.sharpness.measures.test_one_step import BALLS
from tests.analysis.sharpness.networks import perceptron, quadratic, samples


@pytest.mark.parametrize(
    ("ball", "maximum"),
    list(zip(BALLS, [0.2409039, 0.1464214, 0.325, 0.21], strict=True)),
    ids=[str(ball) for ball in BALLS],
)
def test_the_exact_maxima_of_the_quadratic_are_reached_in_20_steps(ball: Ball, maximum: float) -> None:
    assert worst_case_sharpness(quadratic(), ball, 0.1, num_steps=20) == pytest.approx(maximum, abs=1e-7)


@pytest.mark.parametrize("ball", BALLS)
@pytest.mark.parametrize("rho", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("layer", ["2.weight", None])
def test_never_less_than_one_step(ball: Ball, rho: float, layer: str | None) -> None:
    landscape = loss_landscape(perceptron(), *samples(), layer=layer)
    one = one_step_sharpness(landscape, ball, [rho], batch_size=20)[rho]
    for num_steps in (1, 5, 20):
        assert worst_case_sharpness(landscape, ball, rho, num_steps, batch_size=20) >= one - 1e-12


@settings(max_examples=30)
@given(
    st.lists(st.floats(-2, 2).filter(lambda x: abs(x) > 0.05), min_size=5, max_size=5),
    st.lists(st.floats(0.1, 4), min_size=5, max_size=5),
    st.floats(0.05, 1),
)
def test_convex_quadratics_in_an_l_inf_ball_are_maximal_at_a_corner(
    center: list[float], curvature: list[float], rho: float
) -> None:
    b, h = torch.tensor(center, dtype=torch.float64), torch.tensor(curvature, dtype=torch.float64)

    def function(u: torch.Tensor) -> tuple[float, torch.Tensor]:
        return (b @ u + 0.5 * (h * u) @ u).item(), b + h * u

    exact = (b.abs() * rho + 0.5 * h * rho**2).sum().item()
    rise = ascend(function, torch.zeros_like(b), Ball("linf"), rho, 20)
    assert rise == pytest.approx(exact, rel=1e-9)


def test_a_bounded_rotation_away_from_the_first_gradient_is_followed() -> None:
    # In an ℓ2 ball the maximum of a quadratic is that of a secular equation; 20 steps come within 1e-3.
    b, h = torch.tensor([1.0, 0.2], dtype=torch.float64), torch.tensor([0.1, 6.0], dtype=torch.float64)

    def function(u: torch.Tensor) -> tuple[float, torch.Tensor]:
        return (b @ u + 0.5 * (h * u) @ u).item(), b + h * u

    angles = torch.linspace(0, 2 * torch.pi, 100_001, dtype=torch.float64)
    circle = torch.stack([angles.cos(), angles.sin()])
    exact = (b @ circle + 0.5 * (h @ circle.square())).max().item()
    assert ascend(function, torch.zeros(2, dtype=torch.float64), Ball("l2"), 1.0, 20) == pytest.approx(exact, rel=1e-3)


def test_zero_gradients_and_losses_that_are_nan_are_undefined() -> None:
    zero = torch.zeros(2, dtype=torch.float64)
    with pytest.raises(UndefinedMeasureError, match="gradient is zero"):
        ascend(lambda u: (1.0, torch.zeros_like(u)), zero, Ball("l2"), 0.1, 5)
    with pytest.raises(UndefinedMeasureError, match=r"within ρ = 0\.1"):
        ascend(lambda u: (float("nan") if u.any() else 0.0, torch.ones_like(u)), zero, Ball("linf"), 0.1, 5)
