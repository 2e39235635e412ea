"""Forward passes and gradients against torchvision's networks with the same weights, and initial weights."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torchvision
from torch import nn

from tests.trainables.models.twins import assert_same_logits_and_gradients
from trainables.models.resnet import BasicBlock, Bottleneck, ResNet, resnet18, resnet18_tiny, resnet20, resnet34


def torchvision_twin(model: ResNet, depths: list[int], small_stem: bool, bottleneck: bool = False) -> nn.Module:
    blocks = torchvision.models.resnet
    twin = blocks.ResNet(blocks.Bottleneck if bottleneck else blocks.BasicBlock, depths, num_classes=10)
    if small_stem:
        twin.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        twin.maxpool = nn.Identity()
    twin.load_state_dict(model.state_dict(), strict=True)
    assert isinstance(twin, nn.Module)
    return twin


@pytest.mark.parametrize(
    ("build", "depths", "small_stem"),
    [(resnet18, [2, 2, 2, 2], True), (resnet34, [3, 4, 6, 3], True), (partial(resnet18_tiny, 10), [2, 2, 2, 2], False)],
)
def test_resnets_equal_torchvision(build: Callable[[], ResNet], depths: list[int], small_stem: bool) -> None:
    torch.manual_seed(0)
    model = build()
    twin = torchvision_twin(model, depths, small_stem)
    images = torch.randn(2, 3, 16 if small_stem else 32, 16 if small_stem else 32)
    assert_same_logits_and_gradients(model.double(), twin.double(), images.double())


def test_bottlenecks_equal_torchvision() -> None:
    torch.manual_seed(0)
    model = ResNet(Bottleneck, (1, 2, 1, 1), (64, 128, 256, 512), 10)
    twin = torchvision_twin(model, [1, 2, 1, 1], small_stem=True, bottleneck=True)
    assert_same_logits_and_gradients(model.double(), twin.double(), torch.randn(2, 3, 16, 16).double())


def test_initializations() -> None:
    """Kaiming for ResNet-20: the standard deviation of a convolution is √(2/fan_out); PyTorch's default otherwise."""
    torch.manual_seed(0)
    drawn = resnet20().get_parameter("layer3.2.conv2.weight")
    assert drawn.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    default = ResNet(BasicBlock, (3, 3, 3), (16, 32, 64), 10).get_parameter("layer3.2.conv2.weight")
    assert default.abs().max().item() <= (1 / (64 * 9)) ** 0.5
