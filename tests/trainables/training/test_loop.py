from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

from trainables.data import load_dataset
from trainables.errors import DivergedError, ReplacedError, TrainingError
from trainables.training import loop as training
from trainables.training.checkpoints import load_checkpoint
from trainables.training.loop import attempt, initial_model, train
from trainables.training.trainer import Trainer
from trainables.trial.folder import (
    BEST_CHECKPOINT,
    FAILED_FILE,
    INITIAL_CHECKPOINT,
    LAST_CHECKPOINT,
    SPEC_FILE,
    TRAINED_FILE,
    TrialFolder,
    read_failure,
)
from trainables.trial.specs import DataSpec, TrialSpec
from trainables.trial.storage import LocalFolder

CPU = torch.device("cpu")


def spec(
    model: str = "digits_cnn",
    optimizer: str = "sgd",
    learning_rate: float = 0.05,
    epochs: int = 3,
    training: dict[str, Any] | None = None,
    **settings: Any,
) -> TrialSpec:
    return TrialSpec.model_validate(
        {
            "data": {"dataset": "digits"},
            "model": model,
            "training": {"epochs": epochs, "batch_size": 96} | (training or {}),
            "optimizer": {"name": optimizer, "learning_rate": learning_rate, "weight_decay": 1e-4} | settings,
        }
    )


def run(folder: Path, wanted: TrialSpec) -> TrialFolder:
    trial = TrialFolder(LocalFolder(folder))
    list(train(wanted, trial, CPU))
    return trial


def final_weights(trial: TrialFolder) -> dict[str, torch.Tensor]:
    return load_checkpoint(trial.folder, LAST_CHECKPOINT).model


def test_system_metrics_are_in_the_history_where_they_are_wanted(tmp_path: Path) -> None:
    with_them, without = TrialFolder(LocalFolder(tmp_path / "with")), TrialFolder(LocalFolder(tmp_path / "without"))
    list(train(spec(epochs=2), with_them, CPU, system_metrics=True))
    list(train(spec(epochs=2), without, CPU))
    for epoch in with_them.read_trained().history:
        assert set(epoch.system) == {
            *("cpu_utilization_percentage", "system_memory_usage_megabytes", "system_memory_usage_percentage")
        }
        assert all(
            0 <= epoch.system[f"{name}_percentage"] <= 100 for name in ("cpu_utilization", "system_memory_usage")
        )
        assert epoch.system["system_memory_usage_megabytes"] > 100
    assert load_checkpoint(with_them.folder, LAST_CHECKPOINT).history == with_them.read_trained().history
    assert [epoch.system for epoch in without.read_trained().history] == [{}, {}]
    for name, tensor in final_weights(without).items():
        assert torch.equal(tensor, final_weights(with_them)[name]), name


AUGMENTED = {"augment": True, "crop_padding": 1, "flip": False, "rotation": 10}


@pytest.mark.parametrize(
    "wanted",
    [
        spec("digits_cnn"),
        spec("digits_cnn_bn", training=AUGMENTED),
        spec("digits_cnn", "adam", 0.002, training=AUGMENTED),
        spec("digits_cnn_bn", "adam", 0.002),
        spec("digits_cnn_bn", "sam"),
        spec("digits_cnn_bn", "asam", training=AUGMENTED),
        spec("digits_cnn_bn", "eigen_sam", period=3),
        spec("digits_cnn_bn", "rsam", plain_epochs=2),
        spec("digits_cnn_bn", "look_sam", period=3),
        spec("digits_cnn_bn", "gsam", rho_min=0.01),
        spec("digits_cnn_bn", "friendly_sam"),
        spec("digits_cnn", training={"precision": "float16"}),
    ],
    ids=lambda wanted: f"{wanted.optimizer.name}-{wanted.model}-{wanted.training.precision}",
)
def test_a_trial_cut_after_an_epoch_ends_with_the_same_bits(tmp_path: Path, wanted: TrialSpec) -> None:
    whole, cut = TrialFolder(LocalFolder(tmp_path / "whole")), TrialFolder(LocalFolder(tmp_path / "cut"))
    expected = list(train(wanted, whole, CPU))
    next(iter(train(wanted, cut, CPU)))  # one epoch, then nobody asks for more
    resumed = list(train(wanted, cut, CPU))
    assert [metrics.epoch for metrics in resumed] == [1, 2]
    assert [metrics.train_loss for metrics in resumed] == [metrics.train_loss for metrics in expected[1:]]
    for name, tensor in final_weights(whole).items():
        assert torch.equal(tensor, final_weights(cut)[name]), name
    assert whole.read_trained().generalization == cut.read_trained().generalization


def test_short_epochs_share_a_checkpoint_and_are_reported_once_it_holds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SHARE", 1e-9)
    trial = TrialFolder(LocalFolder(tmp_path))
    held = [load_checkpoint(trial.folder, LAST_CHECKPOINT).epoch for _ in train(spec(epochs=4), trial, CPU)]
    assert held == [1, 4, 4, 4]


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
    assert TrialSpec.model_validate_json(trial.folder.read(SPEC_FILE)) == wanted
    initial = load_checkpoint(trial.folder, INITIAL_CHECKPOINT)
    assert initial.epoch == 0
    assert not torch.equal(initial.model["classifier.weight"], final_weights(trial)["classifier.weight"])


def test_the_same_seed_gives_every_optimizer_the_same_initial_weights(tmp_path: Path) -> None:
    folders = [TrialFolder(LocalFolder(tmp_path / name)) for name in ("sgd", "adam")]
    for folder in folders:
        next(iter(train(spec(optimizer=Path(folder.folder.uri).name), folder, CPU)))
    first, second = (load_checkpoint(folder.folder, INITIAL_CHECKPOINT).model for folder in folders)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_worker_that_was_replaced_writes_nothing_more(tmp_path: Path) -> None:
    wanted, folder = spec(epochs=4), LocalFolder(tmp_path)
    left_behind = attempt(wanted, TrialFolder(folder), CPU)
    next(left_behind)
    (tmp_path / f".{LAST_CHECKPOINT}.{'0' * 32}").write_bytes(b"a writer killed half way")
    successor = attempt(wanted, TrialFolder(folder), CPU)
    next(successor)
    with pytest.raises(ReplacedError, match="now works on"):
        next(left_behind)
    assert len(load_checkpoint(folder, LAST_CHECKPOINT).history) == 2
    history = list(successor)[-1:]
    assert TrialFolder(folder).read_trained().history[-1:] == history
    assert not list(tmp_path.glob(".*"))


def test_a_worker_that_was_replaced_does_not_call_the_trial_failed(tmp_path: Path) -> None:
    wanted, folder = spec(epochs=1, training={"target_train_loss": 1e-9}), LocalFolder(tmp_path)
    left_behind = attempt(wanted, TrialFolder(folder), CPU)
    next(left_behind)
    TrialFolder(folder).claim()
    with pytest.raises(ReplacedError):
        next(left_behind)
    assert FAILED_FILE not in folder.names()


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


def test_rsam_takes_plain_steps_until_its_warm_up_is_over(tmp_path: Path) -> None:
    """With plain_epochs as many as there are it is SGD bit for bit; with fewer it is not."""
    sgd = final_weights(run(tmp_path / "sgd", spec("digits_cnn_bn")))
    plain = final_weights(run(tmp_path / "plain", spec("digits_cnn_bn", "rsam", plain_epochs=3)))
    mixed = final_weights(run(tmp_path / "mixed", spec("digits_cnn_bn", "rsam", plain_epochs=2)))
    assert all(torch.equal(sgd[name], plain[name]) for name in sgd)
    assert not torch.equal(sgd["classifier.weight"], mixed["classifier.weight"])


def test_a_warm_up_by_accuracy_needs_validation_images(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"plain_until_accuracy needs validation images, and digits has none"):
        run(tmp_path, spec("digits_cnn", "rsam", plain_until_accuracy=0.3))


def test_a_warm_up_may_go_by_images_held_out(tmp_path: Path) -> None:
    wanted = spec("digits_cnn", "rsam", plain_until_accuracy=0.3)
    wanted = wanted.model_copy(update={"data": DataSpec(dataset="digits", validation=200)})
    history = run(tmp_path, wanted).read_trained().history
    assert all(0 < (epoch.validation_accuracy or 0) <= 1 for epoch in history)


@cache
def first_epoch(optimizer: str) -> tuple[dict[str, torch.Tensor], list[torch.Tensor]]:
    """The initial weights, and the inputs of each forward pass of the first epoch."""
    wanted = spec(optimizer=optimizer, training={"batch_size": 256})
    data = load_dataset(wanted.data)
    trainer = Trainer(wanted, initial_model(wanted, data), data)
    start = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    batches: list[torch.Tensor] = []
    trainer.model.register_forward_pre_hook(lambda _, inputs: batches.append(inputs[0].clone()))
    trainer.train_epoch(0)
    return start, batches


@pytest.mark.parametrize("optimizer", ["sam", "asam", "eigen_sam", "rsam", "look_sam", "gsam", "friendly_sam"])
def test_methods_of_one_seed_start_at_the_same_weights_and_see_the_same_batches(optimizer: str) -> None:
    """What pairing over seeds rests on."""
    (plain, batches), (start, passes) = first_epoch("sgd"), first_epoch(optimizer)
    assert all(torch.equal(plain[key], value) for key, value in start.items())
    first_passes = [passes[0], *(new for old, new in pairwise(passes) if not torch.equal(old, new))]
    assert all(torch.equal(one, other) for one, other in zip(batches, first_passes, strict=True))


@cache
def weights_without_a_limit() -> torch.Tensor:
    with TemporaryDirectory() as folder:
        everything = run(Path(folder), spec(training={"iterations": 1000}))
        assert len(everything.read_trained().history) == 3
        return final_weights(everything)["classifier.weight"]


@pytest.mark.parametrize("iterations", [11, 15, 22])
def test_training_ends_after_so_many_iterations(tmp_path: Path, iterations: int) -> None:
    """An epoch has 11 steps; 15 end in the middle of the second."""
    trial = run(tmp_path, spec(training={"iterations": iterations}))
    assert len(trial.read_trained().history) == -(-iterations // 11)
    assert not torch.equal(final_weights(trial)["classifier.weight"], weights_without_a_limit())


def test_training_ends_at_its_target_loss_or_fails(tmp_path: Path) -> None:
    trial = run(tmp_path / "reached", spec(epochs=12, training={"target_train_loss": 0.5}))
    losses = [metrics.train_loss for metrics in trial.read_trained().history]
    assert losses[-1] <= 0.5 < losses[-2]
    with pytest.raises(TrainingError, match=r"target_train_loss 1e-05 was not reached: .* after 3 epochs; allow more"):
        run(tmp_path / "missed", spec(training={"target_train_loss": 1e-5}))


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    """With plain SGD and no decay a step of norm at most lr × gradient_clip."""
    settings: dict[str, Any] = {"momentum": 0.0, "weight_decay": 0.0}
    training = {"gradient_clip": 1e-3, "iterations": 1, "schedule": "constant"}
    for name in ("sgd", "sam"):
        trial = run(tmp_path / name, spec("digits_cnn", name, 0.05, training=training, **settings))
        initial = load_checkpoint(trial.folder, INITIAL_CHECKPOINT).model
        moved = torch.cat([(tensor - initial[key]).flatten() for key, tensor in final_weights(trial).items()])
        assert moved.norm().item() == pytest.approx(0.05 * 1e-3, rel=1e-2)


def in_precision(folder: Path, optimizer: str, precision: str) -> TrialFolder:
    changes: dict[str, Any] = {"plain_epochs": 0, "rho": 0.1} if optimizer == "rsam" else {}
    return run(folder, spec("digits_cnn_bn", optimizer, epochs=2, training={"precision": precision}, **changes))


@cache
def loss_in_float32(optimizer: str) -> float:
    with TemporaryDirectory() as folder:
        return in_precision(Path(folder), optimizer, "float32").read_trained().history[-1].train_loss


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("optimizer", ["sgd", "rsam"])
def test_lower_precision_trains_nearly_as_float32(tmp_path: Path, precision: str, optimizer: str) -> None:
    lower = in_precision(tmp_path, optimizer, precision)
    assert {tensor.dtype for name, tensor in final_weights(lower).items() if "weight" in name} == {torch.float32}
    difference = lower.read_trained().history[-1].train_loss - loss_in_float32(optimizer)
    assert 0 < abs(difference) < 0.1


def test_memory_format_and_determinism_leave_the_mathematics_alone(tmp_path: Path) -> None:
    plain = final_weights(run(tmp_path / "plain", spec("digits_cnn_bn")))
    determined = final_weights(run(tmp_path / "deterministic", spec("digits_cnn_bn", training={"deterministic": True})))
    last = final_weights(run(tmp_path / "last", spec("digits_cnn_bn", training={"channels_last": True})))
    for name, tensor in plain.items():
        assert torch.equal(tensor, determined[name])
        torch.testing.assert_close(tensor, last[name], rtol=1e-2, atol=1e-3)
    assert not torch.are_deterministic_algorithms_enabled()


def test_checkpoints_are_as_small_as_their_weights(tmp_path: Path) -> None:
    """The optimizer's state is kept while a trial trains, and not after; the best epoch is kept on request."""
    trial = TrialFolder(LocalFolder(tmp_path))
    wanted = spec("digits_cnn_bn", "adam", 0.002, training={"keep_best": True})
    sizes = [len(trial.folder.read(LAST_CHECKPOINT)) for _ in train(wanted, trial, CPU)]
    weights = 4 * sum(tensor.numel() for tensor in final_weights(trial).values())
    assert sizes[0] > 3 * weights
    for name in (INITIAL_CHECKPOINT, LAST_CHECKPOINT, BEST_CHECKPOINT):
        assert len(trial.folder.read(name)) < weights + 12_000, name
    history = trial.read_trained().history
    best = load_checkpoint(trial.folder, BEST_CHECKPOINT)
    assert history[best.epoch - 1].test_accuracy == max(metrics.choice or 0 for metrics in history)
    assert list(train(wanted, trial, CPU)) == []


def test_the_learning_rate_ends_at_its_floor(tmp_path: Path) -> None:
    trial = run(tmp_path, spec(learning_rate=0.1, epochs=4, training={"learning_rate_floor": 0.02}))
    rates = [metrics.learning_rate for metrics in trial.read_trained().history]
    assert rates == pytest.approx([0.1, 0.02 + 0.08 * 0.5 * (1 + 0.5**0.5), 0.06, 0.02 + 0.08 * 0.5 * (1 - 0.5**0.5)])
