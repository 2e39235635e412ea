"""Training with RSAM in Lightning, and the spectra of every layer after each second epoch.

python examples/rsam_lightning.py        # needs pip install lightning
"""

import tempfile

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import renyi
from trainables.callbacks import SpectrumWatch
from trainables.callbacks.lightning import SpectrumCallback


class Classifier(LightningModule):  # type: ignore[misc]  # mypy does not look into it
    """Lightning hands the optimizer a closure, which RSAM calls twice: nothing else is needed."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        inputs, targets = batch
        return cross_entropy(self.net(inputs), targets)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return renyi.RSAM(self.parameters(), torch.optim.SGD, rho=0.65, max_eps_norm=0.2, lr=0.1, momentum=0.9)


def main() -> None:
    """Train for four epochs, and print what was seen."""
    seed_everything(0, verbose=False)
    digits = load_digits()
    inputs, targets = torch.tensor(digits.data[:1000] / 16).float(), torch.tensor(digits.target[:1000])
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=50, shuffle=True)
    watch = SpectrumWatch(inputs[:200], targets[:200], every=2, layers=["0.weight", "2.weight"])
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_epochs=4,
            accelerator="cpu",
            callbacks=[SpectrumCallback(watch, network="net")],
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Classifier(), loader)
    for epoch, spectra in watch.history.items():
        print(f"after epoch {epoch}\n{spectra}")


if __name__ == "__main__":
    main()
