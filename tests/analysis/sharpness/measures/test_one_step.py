import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from analysis.errors import UndefinedMeasureError
from analysis.sharpness import loss_landscape
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.measures.one_step import Ball, one_step_sharpness, one_step_sharpnesses
from tests.analysis.sharpness.networks import perceptron, quadratic, samples

BALLS = [Ball("l2"), Ball("l2", adaptive=True), Ball("linf"), Ball("linf", adaptive=True)]


@pytest.mark.parametrize(
    ("ball", "expected"),
    [
        (Ball("l2"), 0.2406068),
        (Ball("l2", adaptive=True), 0.1464214),
        (Ball("l2", adaptive=True, eta=0.01), 0.1486962),
        (Ball("linf"), 0.325),
        (Ball("linf", adaptive=True), 0.21),
    ],
)
def test_closed_forms_on_the_quadratic(ball: Ball, expected: float) -> None:
    assert one_step_sharpness(quadratic(), ball, [0.1])[0.1] == pytest.approx(expected, abs=5e-8)


def test_each_batch_has_a_perturbation_of_its_own_and_counts_by_its_size() -> None:
    model, (inputs, targets) = perceptron(), samples()
    landscape = loss_landscape(model, inputs, targets)
    parts = [(inputs[:20], targets[:20]), (inputs[20:], targets[20:])]
    alone = [one_step_sharpness(loss_landscape(model, *part), Ball("l2"), [0.3])[0.3] for part in parts]
    together = one_step_sharpness(landscape, Ball("l2"), [0.3], batch_size=20)[0.3]
    assert together == pytest.approx((20 * alone[0] + 10 * alone[1]) / 30, rel=1e-12)


@pytest.mark.parametrize("ball", BALLS)
def test_sharing_the_gradient_changes_nothing(ball: Ball) -> None:
    model, (inputs, targets) = perceptron(), samples()
    blocks = {name: loss_landscape(model, inputs, targets, name) for name in ("0.weight", "2.weight")}
    blocks["all"] = loss_landscape(model, inputs, targets)
    shared = one_step_sharpnesses(blocks, {"this": (ball, [0.1, 0.2])}, batch_size=20)
    for name, landscape in blocks.items():
        assert shared[name, "this"] == pytest.approx(one_step_sharpness(landscape, ball, [0.1, 0.2], batch_size=20))


def test_a_layer_without_gradient_has_a_reason_and_leaves_the_others_alone() -> None:
    model, (inputs, targets) = perceptron(), samples()
    with torch.no_grad():
        model.get_parameter("0.bias").fill_(-1e6)  # no hidden unit fires
    blocks = {name: loss_landscape(model, inputs, targets, name) for name in ("0.weight", "4.weight")}
    blocks["all"] = loss_landscape(model, inputs, targets)
    rises = one_step_sharpnesses(blocks, {"sam": (Ball("l2"), [0.1])}, 128)
    assert "gradient is zero" in str(rises["0.weight", "sam"])
    assert isinstance(rises["all", "sam"], dict)
    with pytest.raises(UndefinedMeasureError, match="gradient is zero"):
        one_step_sharpness(blocks["0.weight"], Ball("l2"), [0.1])


def test_chunks_make_no_difference() -> None:
    whole = loss_landscape(perceptron(), *samples())
    chunked = Landscape(whole.problem, whole.names, samples_at_once=7)
    for ball in BALLS:
        assert one_step_sharpness(chunked, ball, [0.2])[0.2] == pytest.approx(
            one_step_sharpness(whole, ball, [0.2])[0.2], rel=1e-9
        )


vectors = st.lists(st.floats(-5, 5).filter(lambda x: abs(x) > 1e-3), min_size=4, max_size=4)


@given(vectors, st.floats(0.01, 3), st.sampled_from(["l2", "linf"]))
@example([1.0, 1.0, 1.0, 1.0], 2.7786521950056735, "l2")  # ρ · (1/ρ) rounds to less than 1
def test_projections_are_in_the_ball_and_leave_what_is_inside(entries: list[float], rho: float, norm: str) -> None:
    u = torch.tensor(entries, dtype=torch.float64)
    order = 2 if norm == "l2" else math.inf
    projected = Ball(norm).project(u, rho)  # type: ignore[arg-type]
    size = torch.linalg.vector_norm(projected, ord=order).item()
    assert size <= rho * (1 + 1e-12)
    if torch.linalg.vector_norm(u, ord=order) <= rho:
        assert torch.equal(projected, u)


@given(vectors, vectors, st.sampled_from(["l2", "linf"]))
def test_no_direction_of_norm_one_is_steeper(gradient: list[float], other: list[float], norm: str) -> None:
    g, v = torch.tensor(gradient, dtype=torch.float64), torch.tensor(other, dtype=torch.float64)
    order = 2 if norm == "l2" else math.inf
    best = g @ Ball(norm).steepest(g)  # type: ignore[arg-type]
    assert best >= g @ (v / torch.linalg.vector_norm(v, ord=order)) - 1e-9
