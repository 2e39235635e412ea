import math

import pytest
import torch
from torch import Tensor, nn
from torch.special import ndtr

from analysis.errors import AnalysisError, UndefinedMeasureError
from analysis.settings import PacBayesSettings
from analysis.sharpness import loss_landscape
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.measures.pac_bayes import (
    bisect,
    find_noise_level,
    magnitude_aware_value,
    origin_value,
    reference_weights,
)
from tests.analysis.sharpness.networks import perceptron, residual_network, samples

SIGMA = 0.780304  # Φ(1/σ) = 0.9


class Sign(nn.Module):
    """The sign of w·x as logits (w·x, 0), with w = 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x @ self.weight, torch.zeros_like(x)], dim=1)


def sign() -> Landscape:
    return loss_landscape(Sign(), torch.ones(1, 1), torch.tensor([0]))


def exact_drop(sigma: float) -> tuple[float, float]:
    return 1 - ndtr(torch.tensor(1 / sigma, dtype=torch.float64)).item(), 0.0


def test_the_closed_form_of_one_weight() -> None:
    noise = bisect(exact_drop, PacBayesSettings(tolerance=1e-9, num_halvings=60))
    assert noise.sigma == pytest.approx(SIGMA, abs=5e-7)
    assert noise.flatness[0] == pytest.approx(1.642374, abs=5e-7)
    assert origin_value(torch.ones(1), noise.sigma, num_samples=2000) == pytest.approx(0.0955499, abs=5e-8)


def test_the_default_search_is_within_its_tolerance_and_gives_no_round_number() -> None:
    noise = bisect(exact_drop)
    assert abs(exact_drop(noise.sigma)[0] - 0.1) < 0.01
    assert noise.sigma == pytest.approx(SIGMA, abs=0.02)
    assert (noise.sigma * 2**15) % 1 != 0


def test_noise_on_the_weight_finds_it_too() -> None:
    noise = find_noise_level(sign(), search=PacBayesSettings(num_draws=500))
    assert noise.stderr < 0.1
    assert abs(noise.sigma - SIGMA) < 3.5 * noise.stderr
    aware = find_noise_level(sign(), magnitude_aware=True, search=PacBayesSettings(num_draws=500))
    assert abs(aware.sigma - SIGMA) < 3.5 * aware.stderr  # |w| = 1, and ε is small


def test_standard_errors_are_carried_to_first_order() -> None:
    noise = bisect(lambda sigma: (exact_drop(sigma)[0], 0.01))
    value, stderr = noise.flatness
    assert value == pytest.approx(noise.sigma**-2)
    assert stderr == pytest.approx(2 * noise.sigma**-3 * noise.stderr, rel=1e-6)


def test_what_is_not_bracketed_or_no_better_than_chance_is_undefined() -> None:
    with pytest.raises(UndefinedMeasureError, match="not bracketed"):
        bisect(lambda sigma: (0.05, 0.0))
    inputs, targets = samples()
    model = perceptron()
    with torch.no_grad():
        model.get_parameter("4.weight").zero_()
    with pytest.raises(UndefinedMeasureError, match="less than chance"):
        find_noise_level(loss_landscape(model, inputs, targets))


def test_magnitude_aware_values_are_sums_over_weights() -> None:
    w, start = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.5, 0.0, 0.5])
    for from_initial in (True, False):
        r = w - start if from_initial else w
        terms = [
            math.log((1e-6 + (0.3**2 + 1) * r.square().sum().item() / 3) / (1e-6 + 0.3**2 * (a - b).item() ** 2))
            for a, b in zip(w, start, strict=True)
        ]
        expected = math.sqrt((sum(terms) / 4 + math.log(100 / 0.3) + 10) / 100)
        bound = magnitude_aware_value(w, start, 0.3, num_samples=100, from_initial=from_initial)
        assert bound == pytest.approx(expected, rel=1e-5)


def test_batch_norm_is_folded_into_both_weights() -> None:
    model, inputs, targets = residual_network()
    landscape = loss_landscape(model, inputs, targets)
    initial = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model.conv1.weight += 1
    reference, start = reference_weights(landscape, initial)
    assert start is not None
    assert not any("norm" in name for name in reference.names)
    assert torch.allclose(reference.own_losses, landscape.own_losses)
    moved = reference.split(reference.weights - start)
    scale = model.norm1.weight / (model.norm1.get_buffer("running_var") + model.norm1.eps).sqrt()
    assert torch.allclose(moved["conv1.weight"].view(4, -1), scale[:, None].expand(4, 18))
    assert not moved["head.weight"].any()
    plain, _ = reference_weights(landscape, None, fold=False)
    assert plain is landscape


def test_initial_weights_of_another_network_are_refused() -> None:
    landscape = loss_landscape(perceptron(), *samples())
    with pytest.raises(AnalysisError, match="do not fit"):
        reference_weights(landscape, perceptron((6, 4, 3)).state_dict())
