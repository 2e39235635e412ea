"""Which parameters are layers, how one is named, and eval mode for a while."""

import warnings

import pytest
import torch
from torch import nn

from analysis.errors import AnalysisError
from analysis.sharpness.layers import default_layers, evaluation_mode, select_parameters, weight_layers


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_layers_are_weights_of_two_dimensions_or_more() -> None:
    assert weight_layers(network()) == ["0.weight", "3.weight"]


class Experts(nn.Module):
    """Stacked experts and positions, whose names do not say that they are weights."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_up = nn.Parameter(torch.zeros(2, 3, 3))
        self.position = nn.Parameter(torch.zeros(1, 3))
        self.relative_bias = nn.Parameter(torch.zeros(2, 3))
        self.frozen = nn.Parameter(torch.zeros(2, 3), requires_grad=False)
        self.out = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))


def test_matrices_that_are_not_measured_are_named() -> None:
    with pytest.warns(RuntimeWarning, match=r"layer by layer.*: gate_up, position; name them in `layers`"):
        layers = default_layers(Experts())
    assert layers == ["out.parametrizations.weight.original1"]


def test_nothing_is_said_where_every_matrix_is_a_layer() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert default_layers(network()) == weight_layers(network())


def test_one_layer_or_all_trainable_parameters() -> None:
    model = network()
    model.get_parameter("3.bias").requires_grad_(False)
    assert list(select_parameters(model, "1.bias")) == ["1.bias"]
    assert list(select_parameters(model, None)) == ["0.weight", "0.bias", "1.weight", "1.bias", "3.weight"]


def test_unknown_layers_and_nothing_to_train() -> None:
    model = network()
    with pytest.raises(AnalysisError, match=r"3\.wieght.*nearest names: 3\.weight"):
        select_parameters(model, "3.wieght")
    with pytest.raises(AnalysisError, match="no trainable parameter"):
        select_parameters(model.requires_grad_(False), None)


def test_every_module_gets_its_own_flag_back() -> None:
    model = network().train()
    model[1].eval()
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model] == [True, False, True, True]
