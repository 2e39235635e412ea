"""Checkpoints: everything comes back, and nothing in a file is executed."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from trainables.errors import TrainingError
from trainables.training.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from trainables.trial.folder import LAST_CHECKPOINT, EpochMetrics
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import LocalFolder

SPEC = TrialSpec.model_validate(
    {
        "data": {"dataset": "digits"},
        "model": "digits_cnn",
        "training": {"epochs": 3, "batch_size": 8},
        "optimizer": {"name": "adam", "learning_rate": 0.1},
    }
)


def test_everything_comes_back(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    history = [EpochMetrics(0, 0.1, 1.0, 2.0, 0.5, 1.5, 1000.0, 0.4, {"cpu_utilization_percentage": 1.0})]
    kept = Checkpoint(SPEC, network.state_dict(), optimizer.state_dict(), history, {"scale": 2.0})
    save_checkpoint(folder, LAST_CHECKPOINT, kept)
    found = load_checkpoint(folder, LAST_CHECKPOINT)
    assert (found.spec, found.history, found.scaler, found.epoch) == (SPEC, history, {"scale": 2.0}, 1)
    assert all(torch.equal(found.model[name], value) for name, value in kept.model.items())
    assert torch.equal(found.optimizer["state"][0]["exp_avg"], kept.optimizer["state"][0]["exp_avg"])


class Harmful:
    """Unpickles by a call."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    torch.save(Harmful(tmp_path / "harm"), tmp_path / LAST_CHECKPOINT)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Harmful(tmp_path / "harm"), protocol=2))
    for name in (LAST_CHECKPOINT, "plain.pt"):
        with pytest.raises(TrainingError, match="is not a readable checkpoint"):
            load_checkpoint(folder, name)
    assert not (tmp_path / "harm").exists()


def test_a_missing_and_a_damaged_file_are_distinguished(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    with pytest.raises(FileNotFoundError):
        load_checkpoint(folder, LAST_CHECKPOINT)
    folder.write(LAST_CHECKPOINT, b"not a checkpoint")
    with pytest.raises(TrainingError, match=r"last\.pt is not a readable checkpoint"):
        load_checkpoint(folder, LAST_CHECKPOINT)
