import pytest
import torch
from torch import nn

from analysis.sharpness import weight_layers
from trainables.models.digits_cnn import digits_cnn, digits_cnn_bn


@pytest.mark.parametrize(("build", "parameters"), [(digits_cnn, 3_350), (digits_cnn_bn, 3_386)])
def test_layers_and_parameters(build: type, parameters: int) -> None:
    model = build(10, 1)
    sizes = [model.get_parameter(layer).numel() for layer in weight_layers(model)]
    assert sizes == [72, 864, 1728, 640]
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert model(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


def test_with_batch_norm_a_convolution_has_no_bias() -> None:
    convolutions = [module for module in digits_cnn_bn(10, 1).modules() if isinstance(module, nn.Conv2d)]
    assert [convolution.bias for convolution in convolutions] == [None] * 3


def test_other_channels_and_classes() -> None:
    assert digits_cnn(4, 3)(torch.zeros(2, 3, 8, 8)).shape == (2, 4)
