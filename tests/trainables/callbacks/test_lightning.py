"""The callback in a real Lightning `Trainer`, with RSAM: the same weights and spectra as the loop by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from trainables.callbacks import SpectrumWatch
from trainables.optimizers import RSAM

EPOCHS = 4


def classifier() -> Any:
    """A LightningModule around a perceptron."""
    # Imported here: it takes seconds, and every process of a test run imports all files of tests.
    from lightning.pytorch import LightningModule

    class Classifier(LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            return cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> RSAM:
            return RSAM(self.parameters(), torch.optim.SGD, rho=0.1, lr=0.1)

    return Classifier()


@pytest.mark.filterwarnings("ignore")
def test_it_is_the_loop_by_hand(tmp_path: Path) -> None:
    from lightning.pytorch import Trainer

    from trainables.callbacks.lightning import SpectrumCallback

    torch.manual_seed(0)
    inputs, targets = torch.randn(20, 3), torch.arange(20) % 2
    batches = TensorDataset(inputs, targets)

    module, watch = classifier(), SpectrumWatch(inputs, targets, every=2, layers=["2.weight"])
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        callbacks=[SpectrumCallback(watch, network="net")],
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(batches, batch_size=5))

    mine, expected = classifier(), SpectrumWatch(inputs, targets, every=2, layers=["2.weight"])
    optimizer = mine.configure_optimizers()
    for epoch in range(1, EPOCHS + 1):
        for batch, labels in DataLoader(batches, batch_size=5):

            def closure(batch: Tensor = batch, labels: Tensor = labels) -> Tensor:
                optimizer.zero_grad()
                loss = cross_entropy(mine.net(batch), labels)
                loss.backward()
                return loss

            optimizer.step(closure)
        expected(mine.net, epoch)

    assert list(watch.history) == [2, 4]
    for epoch in watch.history:
        assert watch.values(epoch) == expected.values(epoch)
    assert trainer.callback_metrics["2.weight/entropy_2"].item() == pytest.approx(watch.values(4)["2.weight/entropy_2"])
    for ours, theirs in zip(module.parameters(), mine.parameters(), strict=True):
        assert torch.equal(ours, theirs)
