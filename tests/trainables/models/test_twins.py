"""Forward passes against the networks of torchvision and vit_pytorch, with the same weights."""

import importlib
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torchvision
from torch import Tensor, nn

from trainables.models.resnet import BasicBlock, Bottleneck, ResNet, resnet18, resnet18_tiny, resnet20, resnet34
from trainables.models.simple_vit import SimpleViT, simple_vit


def torchvision_twin(model: ResNet, depths: list[int], small_stem: bool, bottleneck: bool = False) -> nn.Module:
    blocks = torchvision.models.resnet
    twin = blocks.ResNet(blocks.Bottleneck if bottleneck else blocks.BasicBlock, depths, num_classes=10)
    if small_stem:
        twin.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        twin.maxpool = nn.Identity()
    twin.load_state_dict(model.state_dict(), strict=True)
    assert isinstance(twin, nn.Module)
    return twin


def assert_same_logits_and_gradients(model: nn.Module, twin: nn.Module, images: Tensor) -> None:
    """In eval mode (running statistics) and in train mode (batch statistics), and the gradients of both."""
    for train in (False, True):
        logits = [network.train(train)(images) for network in (model, twin)]
        torch.testing.assert_close(*logits, rtol=1e-12, atol=1e-12)
    gradients = [
        torch.cat([gradient.flatten() for gradient in torch.autograd.grad(out.square().sum(), list(net.parameters()))])
        for out, net in zip(logits, (model, twin), strict=True)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("build", "depths", "small_stem"),
    [(resnet18, [2, 2, 2, 2], True), (resnet34, [3, 4, 6, 3], True), (partial(resnet18_tiny, 10), [2, 2, 2, 2], False)],
)
def test_resnets_equal_torchvision(build: Callable[[], ResNet], depths: list[int], small_stem: bool) -> None:
    torch.manual_seed(0)
    model = build()
    twin = torchvision_twin(model, depths, small_stem)
    images = torch.randn(2, 3, 32, 32)
    assert_same_logits_and_gradients(model.double(), twin.double(), images.double())


def test_bottlenecks_equal_torchvision() -> None:
    torch.manual_seed(0)
    model = ResNet(Bottleneck, (1, 2, 1, 1), (64, 128, 256, 512), 10)
    twin = torchvision_twin(model, [1, 2, 1, 1], small_stem=True, bottleneck=True)
    assert_same_logits_and_gradients(model.double(), twin.double(), torch.randn(2, 3, 16, 16).double())


def test_simple_vit_equals_vit_pytorch() -> None:
    oracle = importlib.import_module("vit_pytorch.simple_vit")
    torch.manual_seed(0)
    model = SimpleViT(10, image_size=16, width=32, depth=2, heads=4, head_width=8, mlp_width=48).double()
    twin = oracle.SimpleViT(
        image_size=16, patch_size=4, num_classes=10, dim=32, depth=2, heads=4, dim_head=8, mlp_dim=48
    ).double()
    assert [p.shape for p in model.parameters()] == [p.shape for p in twin.parameters()]
    twin.load_state_dict(dict(zip(twin.state_dict(), model.parameters(), strict=True)))
    assert_same_logits_and_gradients(model, twin, torch.randn(3, 3, 16, 16, dtype=torch.float64))


def test_other_image_size_is_refused() -> None:
    with pytest.raises(RuntimeError, match="unflatten"):
        simple_vit()(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="multiple of patch_size"):
        SimpleViT(10, image_size=30)
    with pytest.raises(ValueError, match="at least 8"):
        SimpleViT(10, width=4)


def test_initializations() -> None:
    """Kaiming for ResNet-20: the standard deviation of a convolution is √(2/fan_out); PyTorch's default otherwise."""
    torch.manual_seed(0)
    drawn = resnet20().get_parameter("layer3.2.conv2.weight")
    assert drawn.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    default = ResNet(BasicBlock, (3, 3, 3), (16, 32, 64), 10).get_parameter("layer3.2.conv2.weight")
    assert default.abs().max().item() <= (1 / (64 * 9)) ** 0.5
