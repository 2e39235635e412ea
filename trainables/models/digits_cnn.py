"""Small convolutional networks for scikit-learn's 8×8 digits."""

from torch import Tensor, nn


class DigitsCNN(nn.Module):
    """Three 3×3 convolutions with ReLU, two of them with stride 2, and a linear classifier on the final 2×2 map.

    With `batch_norm` each convolution has no bias and is followed by batch-norm; without, it has a bias. Four layers:
    72, 864, 1 728 and 640 weights for 10 classes and one channel.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, batch_norm: bool = False) -> None:
        super().__init__()
        widths = (in_channels, 8, 12, 16)
        strides = (1, 2, 2)
        blocks: list[nn.Module] = []
        for width_in, width, stride in zip(widths[:-1], widths[1:], strides, strict=True):
            blocks.append(nn.Conv2d(width_in, width, 3, stride=stride, padding=1, bias=not batch_norm))
            if batch_norm:
                blocks.append(nn.BatchNorm2d(width))
            blocks.append(nn.ReLU())
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Linear(widths[-1] * 2 * 2, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, in_channels, 8, 8) images to (N, num_classes) logits."""
        logits: Tensor = self.classifier(self.features(images).flatten(1))
        return logits


def digits_cnn(num_classes: int = 10, in_channels: int = 1) -> DigitsCNN:
    """Without batch-norm: 3 350 parameters."""
    return DigitsCNN(num_classes, in_channels)


def digits_cnn_bn(num_classes: int = 10, in_channels: int = 1) -> DigitsCNN:
    """With batch-norm: 3 386 parameters."""
    return DigitsCNN(num_classes, in_channels, batch_norm=True)
