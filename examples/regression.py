"""Regression with the squared error: spectra, and measures over the layers, on scikit-learn's diabetes data.

python examples/regression.py [picture.png]
"""

import sys

import torch
from sklearn.datasets import load_diabetes
from torch import nn
from torch.nn.functional import mse_loss

import renyi


def main() -> None:
    """Train a perceptron on the whole set, then measure it."""
    torch.manual_seed(0)
    data = load_diabetes()
    inputs = torch.tensor(data.data * len(data.data) ** 0.5).float()
    targets = torch.tensor(data.target)[:, None].float()
    targets = (targets - targets.mean()) / targets.std()
    model = nn.Sequential(nn.Linear(10, 20), nn.Tanh(), nn.Linear(20, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        loss = mse_loss(model(inputs), targets)
        loss.backward()
        optimizer.step()
    print(f"squared error {loss.item():.3f} of a variance of 1")

    spectra = renyi.layer_spectra(model, inputs, targets, loss="mse", progress=False)
    print(spectra)
    print(renyi.measure(model, inputs, targets, measures=["trace", "renyi", "sam"], loss="mse", progress=False))
    if len(sys.argv) > 1:
        spectra.plot().savefig(sys.argv[1], dpi=100)


if __name__ == "__main__":
    main()
