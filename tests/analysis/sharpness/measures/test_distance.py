import math

import pytest
import torch

from analysis.errors import AnalysisError
from analysis.settings import SharpnessSettings
from analysis.sharpness import measure
from tests.analysis.sharpness.networks import perceptron, residual_network, samples

SETTINGS = SharpnessSettings(measures=("dist_l2", "dist_spec"))


def test_it_is_the_norm_of_what_was_added() -> None:
    model = perceptron(widths=(2, 2, 2))
    initial = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model.get_parameter("0.weight").add_(torch.diag(torch.tensor([3.0, 4.0])))
        model.get_parameter("2.weight").add_(torch.diag(torch.tensor([12.0, 0.0])))
        model.get_parameter("0.bias").add_(100)
    rows = measure(model, *samples(dim=2, classes=2), SETTINGS, initial)
    found = {(row.measure, row.layer): row.value for row in rows}
    assert found == pytest.approx(
        {
            ("dist_l2", "0.weight"): 5.0,
            ("dist_l2", "2.weight"): 12.0,
            ("dist_l2", "all"): 13.0,
            ("dist_spec", "0.weight"): 4.0,
            ("dist_spec", "2.weight"): 12.0,
            ("dist_spec", "all"): math.sqrt(16 + 144),
        }
    )
    assert {row.stderr for row in rows} == {0.0}


def test_batch_norms_are_not_folded_in() -> None:
    model, inputs, targets = residual_network()
    initial = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model.norm1.weight.mul_(7)
    assert {row.value for row in measure(model, inputs, targets, SETTINGS, initial)} == {0.0}


def test_without_the_initial_weights_it_is_missing() -> None:
    rows = measure(perceptron(), *samples(), SETTINGS)
    assert {row.value for row in rows} == {None}
    assert all("initial weights are not known" in str(row.reason) for row in rows)
    assert SETTINGS.needs_initial_weights


def test_the_initial_weights_of_another_network_are_refused() -> None:
    other = perceptron(widths=(6, 9, 7, 3)).state_dict()
    with pytest.raises(AnalysisError, match=r"0.weight is of shape \(9, 6\), not \(8, 6\)"):
        measure(perceptron(), *samples(), SETTINGS, other)
    del other["0.weight"]
    with pytest.raises(AnalysisError, match=r"0.weight is missing"):
        measure(perceptron(), *samples(), SETTINGS, other)
