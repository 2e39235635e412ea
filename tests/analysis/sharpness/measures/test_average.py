import pytest
import torch
from torch import nn

from analysis.sharpness import loss_landscape
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.measures.average import average_sharpness
from tests.analysis.sharpness.networks import perceptron, quadratic, samples


@pytest.mark.parametrize(("adaptive", "expected"), [(False, 0.025), (True, 0.010)])
def test_expectations_on_the_quadratic(adaptive: bool, expected: float) -> None:
    value, stderr = average_sharpness(quadratic(), [0.1], adaptive, num_draws=4000)[0.1]
    assert abs(value - expected) < 3 * stderr
    assert stderr < 0.004


def test_the_standard_error_is_that_of_the_mean_over_draws() -> None:
    landscape = loss_landscape(perceptron(), *samples())
    values = [average_sharpness(landscape, [0.1], num_draws=50, seed=seed)[0.1] for seed in range(40)]
    spread = torch.tensor([value for value, _ in values]).std().item()
    reported = torch.tensor([stderr for _, stderr in values]).mean().item()
    assert reported == pytest.approx(spread, rel=0.35)


def test_same_seed_same_numbers_whatever_the_chunks() -> None:
    whole = loss_landscape(perceptron(), *samples())
    first = average_sharpness(whole, [0.1, 0.2], num_draws=5)
    assert average_sharpness(whole, [0.1, 0.2], num_draws=5) == first
    assert average_sharpness(whole, [0.2], num_draws=5)[0.2] == first[0.2]
    chunked = Landscape(whole.problem, whole.names, samples_at_once=7)
    assert average_sharpness(chunked, [0.1], num_draws=5)[0.1] == pytest.approx(first[0.1], rel=1e-9)


def test_adaptive_noise_leaves_weights_at_zero_alone() -> None:
    model = perceptron()
    nn.init.zeros_(model.get_parameter("4.weight"))
    assert average_sharpness(loss_landscape(model, *samples(), layer="4.weight"), [1.0], adaptive=True, num_draws=3)[
        1.0
    ] == (0.0, 0.0)
