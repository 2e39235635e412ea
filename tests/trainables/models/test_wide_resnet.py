import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d, relu

from trainables.models.wide_resnet import PreActivationBlock, WideResNet, wide_resnet28_10


def normalized(x: torch.Tensor, norm: nn.BatchNorm2d) -> torch.Tensor:
    return relu(batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias))


@pytest.mark.parametrize(("width", "stride"), [(4, 1), (6, 1), (4, 2), (6, 2)])
def test_a_block_is_two_convolutions_each_after_its_batch_norm_and_a_shortcut_of_the_raw_input(
    width: int, stride: int
) -> None:
    torch.manual_seed(0)
    block = PreActivationBlock(4, width, stride).double().eval()
    for norm in (block.bn1, block.bn2):
        nn.init.uniform_(norm.weight)
        nn.init.uniform_(norm.bias)
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    inner = conv2d(normalized(x, block.bn1), block.conv1.weight, stride=stride, padding=1)
    expected = conv2d(normalized(inner, block.bn2), block.conv2.weight, padding=1)
    if isinstance(block.shortcut, nn.Conv2d):
        expected += conv2d(x, block.shortcut.weight, stride=stride)
    else:
        assert (width, stride) == (4, 1)
        expected += x
    torch.testing.assert_close(block(x), expected)


def test_depth_and_widths_are_those_of_its_name() -> None:
    with torch.device("meta"):
        model = wide_resnet28_10()
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 28  # those of the shortcuts count
    assert sorted({convolution.out_channels for convolution in convolutions}) == [16, 160, 320, 640]


def test_convolutions_are_drawn_by_their_fan_out() -> None:
    torch.manual_seed(0)
    weight = WideResNet(1, 2, 10).get_parameter("layer3.0.conv2.weight")
    assert weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)
