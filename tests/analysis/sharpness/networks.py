"""Small networks and samples that the tests of measures share."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from analysis.sharpness import loss_landscape
from analysis.sharpness.landscape import Landscape


class Quadratic(nn.Module):
    """Outputs (w₁, 2w₂), whose squared error against 0 is L = ½(w₁² + 4w₂²); weights at (1, ½)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0, 0.5]], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight * torch.tensor([1.0, 2.0], dtype=torch.float64)


def quadratic(num_samples: int = 1) -> Landscape:
    ones = torch.ones(num_samples, 2, dtype=torch.float64)
    return loss_landscape(Quadratic(), ones, torch.zeros_like(ones), loss="mse")


def perceptron(
    widths: Sequence[int] = (6, 8, 7, 3), activation: type[nn.Module] = nn.ReLU, bias: bool = True, seed: int = 0
) -> nn.Sequential:
    torch.manual_seed(seed)
    modules: list[nn.Module] = []
    for width_in, width in itertools.pairwise(widths):
        modules += [nn.Linear(width_in, width, bias=bias), activation()]
    return nn.Sequential(*modules[:-1]).double()


def samples(num_samples: int = 30, dim: int = 6, classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(num_samples, dim, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(classes, (num_samples,), generator=generator)


class ResidualNetwork(nn.Module):
    """Two convolutions and a shortcut, each with batch-norm; the shortcut's pair is registered apart, crosswise."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(4, 5, 3, padding=1)
        self.shortcut = nn.Conv2d(4, 5, 1, bias=False)
        self.shortcut_norm = nn.BatchNorm2d(5)
        self.norm2 = nn.BatchNorm2d(5)
        self.norm1 = nn.BatchNorm2d(4)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.conv1(x)).relu()
        x = (self.norm2(self.conv2(x)) + self.shortcut_norm(self.shortcut(x))).relu()
        logits: Tensor = self.head(x.mean(dim=(2, 3)))
        return logits


def residual_network() -> tuple[ResidualNetwork, Tensor, Tensor]:
    """In float64, with statistics and affine parameters that are no identity."""
    model = ResidualNetwork().double()
    inputs = torch.randn(40, 2, 5, 5, dtype=torch.float64)
    targets = torch.randint(3, (40,))
    with torch.no_grad():
        for norm in (model.norm1, model.norm2, model.shortcut_norm):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-0.5, 0.5)
        for _ in range(20):
            model(inputs)
    return model.eval(), inputs, targets
