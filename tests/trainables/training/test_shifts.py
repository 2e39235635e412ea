"""Trained networks under shifts: computed as the test loss itself, from the last checkpoint."""

from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.catalogue import SHIFTS, Shift
from trainables.data import load_dataset
from trainables.errors import DivergedError
from trainables.training import shifts
from trainables.training.checkpoints import load_checkpoint
from trainables.training.evaluation import evaluate, shifted_test
from trainables.training.loop import train
from trainables.training.shifts import evaluate_shifts
from trainables.trial.folder import TrialFolder
from trainables.trial.specs import DataSpec, TrialSpec
from trainables.trial.storage import LocalFolder

CPU = torch.device("cpu")
NONE = Shift("noise", 0.0)


def trained(tmp_path: Path, **training: Any) -> TrialFolder:
    spec = TrialSpec.model_validate(
        {
            "data": {"dataset": "digits"},
            "model": "digits_cnn_bn",
            "optimizer": {"name": "sgd", "learning_rate": 0.05},
            "training": {"epochs": 2, "batch_size": 64, **training},
        }
    )
    trial = TrialFolder(LocalFolder(tmp_path / "trial"))
    for _ in train(spec, trial, CPU):
        pass
    return trial


def shift(trial: TrialFolder, names: list[str]) -> None:
    evaluate_shifts(load_checkpoint(trial.folder, "last.pt").spec, trial, names, CPU)


@pytest.mark.parametrize(
    "training", [{}, {"channels_last": True}, {"precision": "bfloat16"}, {"deterministic": True, "augment": True}]
)
def test_a_shift_of_no_strength_has_the_logged_test_loss_to_the_last_bit(
    tmp_path: Path, training: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = trained(tmp_path, **training)
    monkeypatch.setattr(shifts, "SHIFTS", {"none": NONE})
    shift(trial, ["none"])
    found, logged = trial.read_shifts()["none"], trial.read_trained().generalization
    for name in ("test_loss", "test_loss_stderr", "test_accuracy", "test_accuracy_stderr"):
        assert getattr(found, name) == getattr(logged, name)


def test_each_shift_has_a_file_and_stronger_ones_cost_more(tmp_path: Path) -> None:
    trial = trained(tmp_path, epochs=10)
    before = trial.folder.names()
    evaluate_shifts(
        load_checkpoint(trial.folder, "last.pt").spec,
        trial,
        ["noise_1", "noise_5", "contrast_1", "contrast_5", "blur_1", "blur_5"],
        CPU,
    )
    found, logged = trial.read_shifts(), trial.read_trained().generalization
    assert set(trial.folder.names()) - set(before) == {"shifts"}
    for kind in ("blur", "contrast", "noise"):
        weak, strong = found[f"{kind}_1"], found[f"{kind}_5"]
        assert logged.test_loss < weak.test_loss < strong.test_loss
        assert strong.test_accuracy < logged.test_accuracy
        assert (weak.strength, strong.strength) == (SHIFTS[f"{kind}_1"].strength, SHIFTS[f"{kind}_5"].strength)


def test_the_weights_and_the_running_means_stay_as_they_were(tmp_path: Path) -> None:
    trial = trained(tmp_path)
    before = load_checkpoint(trial.folder, "last.pt").model
    shift(trial, ["blur_2"])
    after = load_checkpoint(trial.folder, "last.pt").model
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_images_of_another_type_are_not_written_to() -> None:
    data = load_dataset(DataSpec(dataset="digits"))
    images = data.test.images.float()
    split = type(data.test)(images, data.test.targets)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    plain, _ = evaluate(network, data.test, data.normalize)
    for shift in (None, NONE):
        assert torch.equal(evaluate(network, split, data.normalize, shift)[0], plain)
    assert torch.equal(images, data.test.images.float())


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    data = load_dataset(DataSpec(dataset="digits"))
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    torch.nn.init.constant_(network[1].weight, float("nan"))  # type: ignore[arg-type]
    with pytest.raises(DivergedError, match=r"noise of strength 0\.08 gives no finite test loss"):
        shifted_test(network, data.test, data.normalize, SHIFTS["noise_3"])
