from pathlib import Path

import pytest
import torch

from trainables.checkpoints import load_checkpoint
from trainables.errors import DivergedError, TrainingError
from trainables.specs import TrialSpec
from trainables.storage import LocalFolder
from trainables.training import attempt, train
from trainables.trial_folder import (
    INITIAL_CHECKPOINT,
    LAST_CHECKPOINT,
    TRAINED_FILE,
    TrialFolder,
    read_failure,
)

CPU = torch.device("cpu")


def spec(model: str = "digits_cnn", optimizer: str = "sgd", learning_rate: float = 0.05, epochs: int = 3) -> TrialSpec:
    return TrialSpec.model_validate(
        {
            "data": {"dataset": "digits"},
            "model": model,
            "training": {"epochs": epochs, "batch_size": 96},
            "optimizer": {"name": optimizer, "learning_rate": learning_rate, "weight_decay": 1e-4},
        }
    )


def final_weights(trial: TrialFolder) -> dict[str, torch.Tensor]:
    return load_checkpoint(trial.folder, LAST_CHECKPOINT).model


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("model", ["digits_cnn", "digits_cnn_bn"])
def test_a_trial_cut_after_an_epoch_ends_with_the_same_bits(tmp_path: Path, model: str, optimizer: str) -> None:
    whole, cut = TrialFolder(LocalFolder(tmp_path / "whole")), TrialFolder(LocalFolder(tmp_path / "cut"))
    wanted = spec(model, optimizer)
    expected = list(train(wanted, whole, CPU))
    next(iter(train(wanted, cut, CPU)))  # one epoch, then nobody asks for more
    resumed = list(train(wanted, cut, CPU))
    assert [metrics.epoch for metrics in resumed] == [1, 2]
    assert [metrics.train_loss for metrics in resumed] == [metrics.train_loss for metrics in expected[1:]]
    for name, tensor in final_weights(whole).items():
        assert torch.equal(tensor, final_weights(cut)[name]), name
    assert whole.read_trained().generalization == cut.read_trained().generalization


def test_training_learns_and_leaves_what_measuring_needs(tmp_path: Path) -> None:
    trial = TrialFolder(LocalFolder(tmp_path))
    wanted = spec(epochs=8)
    history = list(train(wanted, trial, CPU))
    outcome = trial.read_trained()
    assert outcome.history == history
    assert outcome.generalization.test_accuracy > 0.9
    assert outcome.generalization.gap_loss == pytest.approx(
        outcome.generalization.test_loss - outcome.generalization.train_loss
    )
    result = outcome.generalization
    assert result.gap_loss_stderr == pytest.approx((result.test_loss_stderr**2 + result.train_loss_stderr**2) ** 0.5)
    binomial = (result.test_accuracy * (1 - result.test_accuracy) / (1797 - 1000)) ** 0.5
    assert result.test_accuracy_stderr == pytest.approx(binomial, rel=0.01)
    assert result.gap_error_stderr >= result.test_accuracy_stderr
    assert trial.read_spec() == wanted
    initial = load_checkpoint(trial.folder, INITIAL_CHECKPOINT)
    assert initial.epoch == 0
    assert not torch.equal(initial.model["classifier.weight"], final_weights(trial)["classifier.weight"])


def test_the_same_seed_gives_every_optimizer_the_same_initial_weights(tmp_path: Path) -> None:
    folders = [TrialFolder(LocalFolder(tmp_path / name)) for name in ("sgd", "adam")]
    for folder in folders:
        next(iter(train(spec(optimizer=Path(folder.folder.uri).name), folder, CPU)))
    first, second = (load_checkpoint(folder.folder, INITIAL_CHECKPOINT).model for folder in folders)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_divergence_is_a_recorded_failure(tmp_path: Path) -> None:
    trial = TrialFolder(LocalFolder(tmp_path))
    wild = spec(learning_rate=1e6)
    with pytest.raises(DivergedError, match="smaller learning rate"):
        list(train(wild, trial, CPU))
    list(attempt(wild, trial, CPU))
    failure = read_failure(trial.folder)
    assert failure.stage == "training"
    assert "DivergedError" in failure.reason
    assert "Traceback" in failure.traceback
    assert TRAINED_FILE not in trial.folder.names()


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    folder.write(LAST_CHECKPOINT, b"not a checkpoint")
    with pytest.raises(TrainingError, match=r"last\.pt is not a readable checkpoint"):
        load_checkpoint(folder, LAST_CHECKPOINT)
