"""A network of one's own: any callable of the numbers of classes and of input channels that returns a torch module."""

import torch
from torch import nn


class SmallNet(nn.Module):
    """One convolution and two linear layers for images of 8×8 pixels."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(in_channels, 8, kernel_size=3, padding=1)
        self.hidden = nn.Linear(8 * 4 * 4, 32)
        self.classifier = nn.Linear(32, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The scores of the classes."""
        found = nn.functional.avg_pool2d(torch.tanh(self.features(images)), 2)
        scores: torch.Tensor = self.classifier(torch.tanh(self.hidden(found.flatten(1))))
        return scores
