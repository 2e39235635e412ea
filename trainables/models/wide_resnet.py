"""Wide residual networks with pre-activation (Zagoruyko and Komodakis 2016)."""

from collections import OrderedDict

from torch import Tensor, nn

from trainables.models.resnet import draw_kaiming


class PreActivationBlock(nn.Module):
    """Two 3×3 convolutions, each after its batch-norm and ReLU; no operation follows the addition.

    A block that changes the shape has a bare 1×1 convolution of its raw input as the shortcut, without batch-norm,
    as in the authors' code (Zagoruyko and Komodakis convolve the activated input).
    """

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.relu = nn.ReLU()
        changes = stride != 1 or width_in != width
        self.shortcut = nn.Conv2d(width_in, width, 1, stride, bias=False) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, width_in, H, W) to (N, width, H/stride, W/stride)."""
        out = self.conv1(self.relu(self.bn1(x)))
        out = self.conv2(self.relu(self.bn2(out)))
        total: Tensor = out + self.shortcut(x)
        return total


class WideResNet(nn.Sequential):
    """WRN-(6·blocks + 4)-widening: a 16-channel 3×3 stem and three stages of 16, 32 and 64 times `widening` channels.

    Convolutions are drawn from N(0, 2/fan_out), as in the authors' code.
    """

    def __init__(self, blocks: int, widening: int, num_classes: int, in_channels: int = 3) -> None:
        modules: OrderedDict[str, nn.Module] = OrderedDict()
        modules["conv1"] = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        width_in = 16
        for number, width in enumerate((16 * widening, 32 * widening, 64 * widening), start=1):
            first = PreActivationBlock(width_in, width, stride=1 if number == 1 else 2)
            rest = [PreActivationBlock(width, width, stride=1) for _ in range(blocks - 1)]
            modules[f"layer{number}"] = nn.Sequential(first, *rest)
            width_in = width
        modules["bn1"] = nn.BatchNorm2d(width_in)
        modules["relu"] = nn.ReLU()
        modules["avgpool"] = nn.AdaptiveAvgPool2d(1)
        modules["flatten"] = nn.Flatten()
        modules["fc"] = nn.Linear(width_in, num_classes)
        super().__init__(modules)
        draw_kaiming(self)


def wide_resnet28_10(num_classes: int = 10, in_channels: int = 3) -> WideResNet:
    """WRN-28-10: 36 479 194 parameters for 10 classes, 29 layers."""
    return WideResNet(4, 10, num_classes, in_channels)
