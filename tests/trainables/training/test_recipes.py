"""The axes of training recipes in the loop: resumed bit for bit, and each network evaluated as it is kept."""

from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.data import load_dataset
from trainables.errors import TrainingError
from trainables.models import build_model
from trainables.training.checkpoints import Checkpoint, load_checkpoint
from trainables.training.evaluation import evaluate, generalization
from trainables.training.loop import check_images, initial_model, train
from trainables.training.shifts import evaluate_shifts
from trainables.training.trainer import Trainer
from trainables.trial.folder import (
    BEST_CHECKPOINT,
    INITIAL_CHECKPOINT,
    LAST_CHECKPOINT,
    EpochMetrics,
    Trained,
    TrialFolder,
)
from trainables.trial.specs import DataSpec, TrainingSpec, TrialSpec
from trainables.trial.storage import LocalFolder

CPU = torch.device("cpu")
DIGITS = DataSpec(dataset="digits")


def spec(optimizer: dict[str, Any] | None = None, data: dict[str, Any] | None = None, **training: Any) -> TrialSpec:
    return TrialSpec.model_validate(
        {
            "data": {"dataset": "digits"} | (data or {}),
            "model": "digits_cnn_bn",
            "training": {"epochs": 2, "batch_size": 480} | training,
            "optimizer": {"name": "sgd", "learning_rate": 0.05} | (optimizer or {}),
        }
    )


def trial_in(folder: Path) -> TrialFolder:
    return TrialFolder(LocalFolder(folder))


def run(folder: Path, wanted: TrialSpec) -> TrialFolder:
    trial = trial_in(folder)
    list(train(wanted, trial, CPU))
    return trial


def last(trial: TrialFolder) -> Checkpoint:
    return load_checkpoint(trial.folder, LAST_CHECKPOINT)


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def assert_same_outcome(one: Trained, other: Trained) -> None:
    assert one.generalization == other.generalization
    for mine, theirs in zip(one.history, other.history, strict=True):
        for name in ("train_loss", "averaged_train_loss", "test_loss", "test_accuracy", "learning_rate"):
            assert getattr(mine, name) == getattr(theirs, name), (mine.epoch, name)


MULTI_STEP: dict[str, Any] = {"schedule": "multi_step", "milestones": [1], "decay_factor": 0.3}
NESTEROV: dict[str, Any] = {"nesterov": True}
BLENDED: dict[str, Any] = {"label_smoothing": 0.1, "cutout": 3, "mixup": 0.4, "drop_last": True, "ema_decay": 0.8}
AUGMENTED: dict[str, Any] = {"augment": True, "crop_padding": 1, "flip": False, "gradient_clip": 5.0}
EVERYTHING: dict[str, Any] = MULTI_STEP | BLENDED | AUGMENTED | {"evaluate_every": 2, "epochs": 3}
RECIPES = {
    "nesterov": spec(NESTEROV),
    "adamw": spec({"name": "adamw", "learning_rate": 0.002}),
    "label smoothing": spec(label_smoothing=0.2),
    "multi-step": spec(**MULTI_STEP),
    "cutout": spec(cutout=3),
    "mixup": spec(mixup=0.3),
    "drop last": spec(drop_last=True),
    "average": spec(ema_decay=0.8),
    "all over SAM": spec({"name": "sam", **NESTEROV}, **EVERYTHING),
    "all over AdamW in float16": spec({"name": "adamw", "learning_rate": 0.002}, **EVERYTHING, precision="float16"),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_trial_cut_after_every_epoch_ends_with_the_same_bits(tmp_path: Path, recipe: str) -> None:
    wanted = RECIPES[recipe]
    whole, cut = run(tmp_path / "whole", wanted), trial_in(tmp_path / "cut")
    for epoch in range(wanted.training.epochs):
        found = next(iter(train(wanted, cut, CPU)))  # one epoch, then nobody asks for more
        assert found.epoch == epoch
    assert list(train(wanted, cut, CPU)) == []  # ended between the last checkpoint and the outcome
    assert_same(last(whole).model, last(cut).model)
    assert_same_outcome(whole.read_trained(), cut.read_trained())


def test_each_recipe_trains_otherwise() -> None:
    data = load_dataset(DIGITS)
    found: list[torch.Tensor] = []
    for wanted in (spec(), *(wanted for name, wanted in RECIPES.items() if name != "multi-step")):
        trainer = Trainer(wanted, initial_model(wanted, data), data)
        trainer.train_epoch(0)
        found.append(trainer.network.state_dict()["classifier.weight"])
    assert not any(torch.equal(one, other) for place, one in enumerate(found) for other in found[:place])


def test_smoothing_and_hidden_squares_see_the_batches_and_weights_of_the_plain_trial() -> None:
    """What comparing along an axis rests on. The first loss is before any step, and without smoothing."""
    data = load_dataset(DIGITS)
    losses = {}
    for name, smoothing in (("plain", 0.0), ("smoothed", 0.3)):
        wanted = spec(label_smoothing=smoothing, iterations=1)
        losses[name] = Trainer(wanted, initial_model(wanted, data), data).train_epoch(0, 1)
    assert losses["plain"] == losses["smoothed"]


def test_drop_last_takes_whole_batches_only() -> None:
    data = load_dataset(DIGITS)
    seen: dict[bool, list[int]] = {True: [], False: []}
    for drop_last, sizes in seen.items():
        wanted = spec(drop_last=drop_last)
        trainer = Trainer(wanted, initial_model(wanted, data), data)
        trainer.model.register_forward_pre_hook(lambda _, inputs, sizes=sizes: sizes.append(len(inputs[0])))
        trainer.train_epoch(0)
        assert trainer.steps_per_epoch == len(sizes)
    assert seen == {True: [480] * 2, False: [480] * 2 + [40]}


def test_iterations_count_the_batches_that_are_taken(tmp_path: Path) -> None:
    trial = run(tmp_path, spec(drop_last=True, iterations=4, epochs=5))
    assert len(trial.read_trained().history) == 2


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"drop_last": True, "batch_size": 900}, r"batch_size \(900\) must be at most the 800 training images"),
        ({"cutout": 7}, r"cutout \(7\) must be at most the 6 pixels"),
    ],
)
def test_images_whose_number_and_size_come_late_are_checked_before_training(
    training: dict[str, Any], message: str
) -> None:
    data = load_dataset(DIGITS).hold_out(200)
    smaller = type(data)(data.train, data.test, 10, data.normalize)
    smaller.train.images.data = smaller.train.images[:, :, 1:7]
    wanted = spec().model_copy(
        update={"training": TrainingSpec.model_validate({"epochs": 3, "batch_size": 9} | training)}
    )
    with pytest.raises(TrainingError, match=message):
        check_images(wanted, smaller)


def test_the_average_is_what_is_evaluated_kept_and_shifted(tmp_path: Path) -> None:
    averaged, plain = run(tmp_path / "averaged", spec(ema_decay=0.9, keep_best=True)), run(tmp_path / "plain", spec())
    data = load_dataset(DIGITS)
    mine, theirs = averaged.read_trained(), plain.read_trained()
    assert [epoch.train_loss for epoch in mine.history] == [epoch.train_loss for epoch in theirs.history]
    assert mine.history[-1].test_loss != theirs.history[-1].test_loss

    network = build_model("digits_cnn_bn", 10, 1)
    network.load_state_dict(last(averaged).model)
    assert generalization(network, data) == mine.generalization
    assert mine.history[-1].test_loss == mine.generalization.test_loss
    assert not torch.equal(last(averaged).model["classifier.weight"], last(plain).model["classifier.weight"])
    assert last(averaged).unaveraged == {}

    best = load_checkpoint(averaged.folder, BEST_CHECKPOINT)
    network.load_state_dict(best.model)
    assert best.unaveraged == {}
    assert evaluate(network, data.test, data.normalize)[1].mean().item() == mine.history[best.epoch - 1].test_accuracy

    for trial in (averaged, plain):
        evaluate_shifts(last(trial).spec, trial, ["noise_1"], CPU)
    losses = [trial.read_shifts()["noise_1"].test_loss for trial in (averaged, plain)]
    assert abs(losses[0] - mine.generalization.test_loss) < abs(losses[1] - mine.generalization.test_loss)


def test_while_training_a_checkpoint_has_the_average_and_the_weights_it_is_of(tmp_path: Path) -> None:
    trial = trial_in(tmp_path)
    next(iter(train(spec(ema_decay=0.9), trial, CPU)))
    kept, initial = last(trial), load_checkpoint(trial.folder, INITIAL_CHECKPOINT)
    assert kept.unaveraged.keys() == kept.model.keys()
    moved = (kept.unaveraged["classifier.weight"] - initial.model["classifier.weight"]).norm()
    assert 0 < (kept.model["classifier.weight"] - initial.model["classifier.weight"]).norm() < moved
    assert initial.unaveraged == {}


def test_a_target_is_for_the_loss_of_the_average_where_that_is_kept(tmp_path: Path) -> None:
    wanted = spec(ema_decay=0.5, epochs=40, target_train_loss=1.9, evaluate_every=100)
    trial = run(tmp_path / "reached", wanted)
    history = trial.read_trained().history
    losses = [epoch.averaged_train_loss or 0 for epoch in history]
    assert losses[-1] <= 1.9 < losses[-2]
    assert losses[-1] == trial.read_trained().generalization.train_loss
    assert [epoch.test_loss is None for epoch in history] == [True] * (len(history) - 1) + [False]
    with pytest.raises(TrainingError, match=r"target_train_loss 1 was not reached: .* after 1 epochs"):
        run(tmp_path / "missed", spec(ema_decay=0.9, epochs=1, target_train_loss=1.0))


EVALUATION = {
    "every epoch": (spec(), {0, 1}),
    "every other": (spec(epochs=3, evaluate_every=2), {1, 2}),
    "at the end": (spec(evaluate_every=9), {1}),
    "at the last step": (spec(epochs=5, iterations=4, evaluate_every=4), {1}),
    "at the target": (spec(epochs=40, target_train_loss=2.1, evaluate_every=50), None),
}


@pytest.mark.parametrize("name", EVALUATION)
def test_epochs_are_evaluated_as_often_as_asked_and_the_last_always(tmp_path: Path, name: str) -> None:
    wanted, expected = EVALUATION[name]
    trial = run(tmp_path, wanted)
    history = trial.read_trained().history
    found = {epoch.epoch for epoch in history if epoch.test_loss is not None}
    assert found == (expected or {len(history) - 1})
    assert history[-1].test_loss == trial.read_trained().generalization.test_loss


@pytest.mark.parametrize(
    "wanted",
    [
        spec(keep_best=True),
        spec(epochs=9, ema_decay=0.5, target_train_loss=2.1),
        spec({"name": "rsam", "plain_until_accuracy": 0.12, "rho": 0.2}, {"validation": 100}, epochs=3),
    ],
    ids=["plain", "target", "warm-up by accuracy"],
)
def test_weights_do_not_depend_on_how_often_they_are_evaluated(tmp_path: Path, wanted: TrialSpec) -> None:
    fields = wanted.model_dump()
    fields["training"]["evaluate_every"] = 3
    seldom = TrialSpec.model_validate(fields)
    assert seldom.trial_id == wanted.trial_id
    often, rarely = run(tmp_path / "often", wanted), run(tmp_path / "rarely", seldom)
    assert_same(last(often).model, last(rarely).model)
    assert often.read_trained().generalization == rarely.read_trained().generalization
    assert len(often.read_trained().history) == len(rarely.read_trained().history)


def test_the_best_epoch_is_one_of_those_evaluated(tmp_path: Path) -> None:
    trial = run(tmp_path, spec(epochs=3, evaluate_every=2, keep_best=True))
    history = trial.read_trained().history
    best = load_checkpoint(trial.folder, BEST_CHECKPOINT)
    accuracies = {epoch.epoch: epoch.test_accuracy for epoch in history if epoch.test_accuracy is not None}
    assert accuracies[best.epoch - 1] == max(accuracies.values())


def test_an_epoch_of_before_has_neither_average_nor_gaps() -> None:
    epoch = EpochMetrics(0, 0.1, train_loss=1.0, test_loss=2.0, test_accuracy=0.5, seconds=1.0, timestamp=1000.0)
    assert (epoch.choice, epoch.target_loss, epoch.averaged_train_loss) == (0.5, 1.0, None)
