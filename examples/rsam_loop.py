"""Training with RSAM, and the spectra of every layer after each second epoch, in a plain loop.

python examples/rsam_loop.py [picture.png]
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import renyi
from trainables.callbacks import SpectrumWatch

EPOCHS = 6


def main() -> None:
    """Print a line an epoch, and all values as a table at the end."""
    torch.manual_seed(0)
    digits = load_digits()
    inputs, targets = torch.tensor(digits.data[:1000] / 16).float(), torch.tensor(digits.target[:1000])
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=50, shuffle=True)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = renyi.RSAM(model.parameters(), torch.optim.SGD, rho=0.65, warmup_epochs=2, lr=0.1, momentum=0.9)
    watch = SpectrumWatch(inputs[:200], targets[:200], every=2, layers=["0.weight", "2.weight"])

    for epoch in range(1, EPOCHS + 1):
        for batch, labels in loader:

            def closure(batch: Tensor = batch, labels: Tensor = labels) -> Tensor:
                optimizer.zero_grad()
                loss = cross_entropy(model(batch), labels)
                loss.backward()
                return loss

            loss = optimizer.step(closure)
        optimizer.end_epoch()
        said = f"epoch {epoch}, loss {loss.item():.3f}"
        if watch(model, epoch):
            entropies = {name: value for name, value in watch.values(epoch).items() if name.endswith("entropy_2")}
            said += "".join(f", {name} {value:.2f}" for name, value in entropies.items())
        print(said)
    print(watch.to_frame().head())
    if len(sys.argv) > 1:
        watch.plot().savefig(sys.argv[1], dpi=100)


if __name__ == "__main__":
    main()
