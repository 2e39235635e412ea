"""Proposition 2.2 on networks: what must not move does not, what must move does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from analysis.errors import AnalysisError
from analysis.settings import SharpnessSettings
from analysis.sharpness.invariance import InvarianceCheck, check_invariance, rescale_layers
from tests.analysis.sharpness.networks import perceptron, residual_network, samples

LAYERS = ("0.weight", "2.weight", "4.weight")
SETTINGS = SharpnessSettings(
    orders=(0.5, 1.5),
    estimator="exact",
    measures=("renyi", "trace", "lambda_max", "l2", "fisher_rao", "sam", "asam", "sam_linf", "asam_linf", "asam_n"),
    worst_case={"eta": 0, "sam": [0.1], "asam": [0.1], "sam_linf": [0.01], "asam_linf": [0.01], "num_steps": 5},  # type: ignore[arg-type]
    all_layers_only=(),
)
INVARIANT = (("fisher_rao", None), ("asam", 0.1), ("asam_linf", 0.01), ("asam_n", 0.1))


def check(model: nn.Module, factors: float | dict[str, float]) -> InvarianceCheck:
    return check_invariance(model, *samples(), factors, SETTINGS)


def leaky(widths: tuple[int, ...] = (6, 8, 7, 3), bias: bool = True) -> nn.Sequential:
    return perceptron(widths, nn.LeakyReLU, bias)


@pytest.mark.parametrize("make", [perceptron, leaky])
@pytest.mark.parametrize("bias", [True, False])
def test_rectifier_networks(make: type[nn.Module], bias: bool) -> None:
    result = check(make(bias=bias), {"0.weight": 4.0, "2.weight": 0.5, "4.weight": 0.5})
    assert result.output_change < 1e-12
    for order in (0.5, 1.5):
        drift = result.drift("renyi", order)
        assert max(drift[layer] for layer in LAYERS) < 1e-8
        assert drift["all"] > 0.01  # the proposition is about layers
    trace = {d.before.layer: d for d in result.drifts if d.before.measure == "trace"}
    for layer, factor in zip(LAYERS, (1 / 16, 4, 4), strict=True):
        assert trace[layer].after.value == pytest.approx(factor * trace[layer].before.value, rel=1e-9)  # type: ignore[operator]
    for measure, parameter in (("lambda_max", None), ("l2", None), ("sam", 0.1), ("sam_linf", 0.01)):
        assert min(result.drift(measure, parameter).values()) > 0.01, measure
    for measure, parameter in INVARIANT:
        drift = result.drift(measure, parameter)
        assert max(drift[layer] for layer in LAYERS) < 1e-9, measure
        # Adaptive balls and Fisher–Rao are whole-network invariants where biases scale along.
        assert drift["all"] < 1e-9, measure


@settings(max_examples=10)
@given(st.floats(0.2, 5), st.floats(0.2, 5), st.sampled_from([nn.ReLU, nn.LeakyReLU]))
def test_random_rescalings(a: float, b: float, activation: type[nn.Module]) -> None:
    model = perceptron((6, 5, 4, 3), activation)
    result = check(model, {"0.weight": a, "2.weight": b, "4.weight": 1 / (a * b)})
    assert result.output_change < 1e-10
    for order in (0.5, 1.5):
        drift = result.drift("renyi", order)
        assert max(drift[layer] for layer in LAYERS) < 1e-7
    for measure, parameter in INVARIANT:
        assert max(result.drift(measure, parameter).values()) < 1e-8, measure


def test_other_activations_show_in_the_outputs() -> None:
    result = check(perceptron(activation=nn.GELU), 1.1)
    assert 1e-6 < result.output_change < 0.1
    assert 1e-6 < max(result.drift("renyi", 0.5).values()) < 0.5


def test_batch_norm_networks_with_their_running_statistics() -> None:
    model, inputs, targets = residual_network()
    names = ("conv1.weight", "conv2.weight", "shortcut.weight")
    few = SETTINGS.model_copy(update={"layers": names, "measures": ("renyi", "trace")})
    result = check_invariance(model, inputs, targets, 3.0, few)
    assert result.output_change < 1e-3
    for layer in names:
        assert result.drift("renyi", 0.5)[layer] < 2e-3  # up to the ε of batch-norm
        assert result.drift("trace")[layer] == pytest.approx(8 / 9, abs=1e-3)
    # Without ε it is exact.
    for norm in (model.norm1, model.norm2, model.shortcut_norm):
        norm.eps = 0.0
    result = check_invariance(model, inputs, targets, 3.0, few)
    assert result.output_change < 1e-12
    assert max(result.drift("renyi", 0.5)[layer] for layer in names) < 1e-8


def test_statistics_left_behind_change_the_network() -> None:
    model, inputs, _ = residual_network()
    rescaled = rescale_layers(model, {"conv1.weight": 3.0, "head.weight": 1 / 3})  # no pairs given
    assert not torch.allclose(rescaled(inputs), model(inputs), rtol=0.1)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"0.weight": -1.0}, "must be positive"),
        ({"0.weights": 2.0}, "no layer '0.weights'"),
        ({"0.weight": 2.0}, "must multiply to 1; they give 2"),
    ],
)
def test_factors_that_change_the_function_are_refused(factors: dict[str, float], message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        rescale_layers(perceptron(), factors)
