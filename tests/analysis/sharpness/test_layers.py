"""Which parameters are layers, how one is named, and eval mode for a while."""

import pytest
from torch import nn

from analysis.errors import AnalysisError
from analysis.sharpness.layers import evaluation_mode, select_parameters, weight_layers


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_layers_are_weights_of_two_dimensions_or_more() -> None:
    assert weight_layers(network()) == ["0.weight", "3.weight"]


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
