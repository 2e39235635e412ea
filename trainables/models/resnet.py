"""Residual networks of He et al. 2016, for 32×32 and 64×64 images."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch-norm; the first has the stride. Parameters have torchvision's names and order.

    torchvision's own block can't be measured. `torch.func.linearize` makes constants of the activations below the layer
    that it differentiates, and the block's in-place ReLU and addition write into them. That raises (torch 2.14), or the
    next product is wrong. A training step without in-place operations takes 2 % longer on the CPU.
    """

    expansion = 1

    def __init__(self, width_in: int, width: int, stride: int, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(N, width_in, H, W) to (N, width, H/stride, W/stride)."""
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        activated: Tensor = self.relu(out + identity)
        return activated


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions with batch-norm, the stride in the middle. Named and ordered as torchvision's."""

    expansion = 4

    def __init__(self, width_in: int, width: int, stride: int, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, self.expansion * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(self.expansion * width)
        self.relu = nn.ReLU()
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(N, width_in, H, W) to (N, 4·width, H/stride, W/stride)."""
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        activated: Tensor = self.relu(out + identity)
        return activated


class ResNet(nn.Sequential):
    """A stem, a stage of residual blocks for each width, average pooling and a linear classifier.

    Modules, parameters and their order are named as in torchvision, so state dicts of equal networks
    can be exchanged. A 1×1 convolution with batch-norm is the shortcut of a block that changes the shape; every stage
    but the first halves the map.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        depths: blocks of each stage.
        widths: channels of each stage (a bottleneck ends with four times as many); the stem has widths[0].
        num_classes, in_channels: of the data.
        stem: "3x3" keeps the resolution; "7x7" has stride 2 and is followed by a max-pool with stride 2.
        initialization: "torch" leaves every module at PyTorch's default; "kaiming" draws the convolutions from
            N(0, 2/fan_out), as the authors' code does for ResNet-20 and -56, though the paper says default.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        widths: Sequence[int],
        num_classes: int,
        in_channels: int = 3,
        stem: Literal["3x3", "7x7"] = "3x3",
        initialization: Literal["torch", "kaiming"] = "torch",
    ) -> None:
        modules: OrderedDict[str, nn.Module] = OrderedDict()
        if stem == "3x3":
            modules["conv1"] = nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False)
        else:
            modules["conv1"] = nn.Conv2d(in_channels, widths[0], 7, stride=2, padding=3, bias=False)
        modules["bn1"] = nn.BatchNorm2d(widths[0])
        modules["relu"] = nn.ReLU()
        if stem == "7x7":
            modules["maxpool"] = nn.MaxPool2d(3, stride=2, padding=1)
        width_in = widths[0]
        for number, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1):
            modules[f"layer{number}"] = _stage(block, depth, width_in, width, stride=1 if number == 1 else 2)
            width_in = width * block.expansion
        modules["avgpool"] = nn.AdaptiveAvgPool2d(1)
        modules["flatten"] = nn.Flatten()
        modules["fc"] = nn.Linear(width_in, num_classes)
        super().__init__(modules)
        if initialization == "kaiming":
            draw_kaiming(self)


def _stage(
    block: type[BasicBlock] | type[Bottleneck], depth: int, width_in: int, width: int, stride: int
) -> nn.Sequential:
    width_out = width * block.expansion
    shortcut = None
    if stride != 1 or width_in != width_out:
        shortcut = nn.Sequential(nn.Conv2d(width_in, width_out, 1, stride, bias=False), nn.BatchNorm2d(width_out))
    blocks = [block(width_in, width, stride, shortcut)]
    blocks += [block(width_out, width, 1, None) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def draw_kaiming(model: nn.Module) -> None:
    """Draw the weights of every convolution again, from N(0, 2/fan_out) (He et al. 2015), in place."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def resnet18(num_classes: int = 10, in_channels: int = 3) -> ResNet:
    """ResNet-18 with the 3×3 stem: 11 173 962 parameters for 10 classes, 21 layers."""
    return ResNet(BasicBlock, (2, 2, 2, 2), (64, 128, 256, 512), num_classes, in_channels)


def resnet34(num_classes: int = 10, in_channels: int = 3) -> ResNet:
    """ResNet-34 with the 3×3 stem: 21 282 122 parameters for 10 classes, 37 layers."""
    return ResNet(BasicBlock, (3, 4, 6, 3), (64, 128, 256, 512), num_classes, in_channels)


def resnet18_tiny(num_classes: int = 200, in_channels: int = 3) -> ResNet:
    """ResNet-18 for TinyImageNet, with the 7×7 stem: 11 279 112 parameters for 200 classes, 21 layers."""
    return ResNet(BasicBlock, (2, 2, 2, 2), (64, 128, 256, 512), num_classes, in_channels, stem="7x7")


def resnet20(num_classes: int = 10, in_channels: int = 3) -> ResNet:
    """ResNet-20 with convolutional shortcuts (option B): 272 474 parameters for 10 classes, 22 layers."""
    return ResNet(BasicBlock, (3, 3, 3), (16, 32, 64), num_classes, in_channels, initialization="kaiming")


def resnet56(num_classes: int = 10, in_channels: int = 3) -> ResNet:
    """ResNet-56 with convolutional shortcuts (option B): 855 770 parameters for 10 classes, 58 layers."""
    return ResNet(BasicBlock, (9, 9, 9), (16, 32, 64), num_classes, in_channels, initialization="kaiming")


def resnet50_tiny(num_classes: int = 200, in_channels: int = 3) -> ResNet:
    """ResNet-50 for TinyImageNet, with the 3×3 stem: 23 910 152 parameters for 200 classes, 54 layers."""
    return ResNet(Bottleneck, (3, 4, 6, 3), (64, 128, 256, 512), num_classes, in_channels)
