import pytest
import torch
from torch import nn

from analysis.settings import SharpnessSettings
from analysis.sharpness import measure
from analysis.sharpness.measures.norms import l2_norms
from tests.analysis.sharpness.networks import perceptron, residual_network, samples


def test_the_norm_of_all_layers_is_that_of_their_weights_laid_end_to_end() -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 2))
    with torch.no_grad():
        model.get_parameter("0.weight").copy_(torch.tensor([[3.0, 4.0]]))
        model.get_parameter("1.weight").copy_(torch.tensor([[0.0], [12.0]]))
    assert l2_norms(model) == pytest.approx({"0.weight": 5.0, "1.weight": 12.0, None: 13.0})


def test_biases_and_normalization_parameters_do_not_count() -> None:
    model, _, _ = residual_network()
    before = l2_norms(model)
    with torch.no_grad():
        model.head.bias.add_(1)
        model.norm1.weight.add_(1)
    assert l2_norms(model) == before
    assert set(before) == {"conv1.weight", "conv2.weight", "shortcut.weight", "head.weight", None}


def test_each_layer_and_all_of_them_are_rows_without_an_error() -> None:
    model = perceptron()
    rows = measure(model, *samples(), SharpnessSettings(measures=("l2",)))
    norms = l2_norms(model)
    assert {row.layer: row.value for row in rows} == {layer or "all": norm for layer, norm in norms.items()}
    assert {row.stderr for row in rows} == {0.0}
