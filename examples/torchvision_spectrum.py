"""Hessian spectra of three layers of torchvision's ResNet-18, on images of digits.

python examples/torchvision_spectrum.py [picture.png]
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import interpolate
from torchvision.models import resnet18

import renyi


def main() -> None:
    """Print the spectra as a table, and draw them where a file is named."""
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images[:20], dtype=torch.float32)[:, None] / 16
    images = interpolate(images, (32, 32), mode="bilinear").expand(-1, 3, -1, -1)
    targets = torch.tensor(digits.target[:20])
    model = resnet18(num_classes=10)  # load weights of your own here

    spectra = renyi.layer_spectra(model, images, targets, ["conv1.weight", "layer1.0.conv1.weight", "fc.weight"])
    print(spectra)
    print(f"Rényi entropy of order 1.5 of the last layer: {spectra['fc.weight'].renyi_entropy(1.5).value:.3f} nats")
    if len(sys.argv) > 1:
        spectra.plot().savefig(sys.argv[1], dpi=100)


if __name__ == "__main__":
    main()
