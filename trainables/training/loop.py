"""Training one trial: a plain loop over epochs that can be interrupted and resumed after each of them."""

import time
import warnings
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn

from analysis.seeding import derive_seed
from trainables.data import Dataset, load_dataset
from trainables.errors import DamagedError, ReplacedError, StorageError, TrainingError
from trainables.models import build_model
from trainables.training.checkpoints import Checkpoint, load_checkpoint, save_checkpoint, weights_digest
from trainables.training.evaluation import accuracy, evaluate, generalization
from trainables.training.machine_load import MachineLoad
from trainables.training.schedules import learning_rate_factor
from trainables.training.trainer import Trainer, determinism
from trainables.trial.folder import (
    BEST_CHECKPOINT,
    INITIAL_CHECKPOINT,
    LAST_CHECKPOINT,
    SPEC_FILE,
    EpochMetrics,
    Failure,
    Trained,
    TrialFolder,
    write_failure,
)
from trainables.trial.specs import RSAMSpec, TrainingSpec, TrialSpec

CHECKPOINT_SHARE = 0.02  # of the time at most is spent on writing checkpoints


def train(
    spec: TrialSpec, trial: TrialFolder, device: torch.device, system_metrics: bool = False
) -> Iterator[EpochMetrics]:
    """Train a trial from its last checkpoint, and yield each epoch when a checkpoint contains it.

    Where epochs are short compared with writing a checkpoint, several share one: CHECKPOINT_SHARE.

    At the end, the folder holds the initial and the last checkpoint, and the outcome. Every random draw is seeded by
    (seed, purpose, epoch), so on the CPU an interrupted trial ends with the same bits as an uninterrupted one. A worker
    that was replaced by another while it was cut off stops before its next write.

    Args:
        spec, trial: what to train, and the folder for it.
        device: the device to train on.
        system_metrics: whether each epoch records how busy the machine was.

    Raises:
        ReplacedError: another worker now trains the trial.
        TrainingError: the network or the data are not available as specified, or the loss did not reach its target.
        DivergedError: the loss is no longer finite.
    """
    trial.claim()
    with determinism(spec.training.deterministic):
        data = load_dataset(spec.data).to(device)
        check_validation(spec, data)
        trainer = Trainer(spec, initial_model(spec, data), data)
        history = resume(trainer, trial)
        unsaved: list[EpochMetrics] = []
        due = time.monotonic()
        load = MachineLoad(device) if system_metrics else None
        while not is_done(spec.training, history, trainer.steps_per_epoch):
            metrics = one_epoch(trainer, len(history), load)
            best = all(metrics.choice > earlier.choice for earlier in history)
            history = [*history, metrics]
            unsaved.append(metrics)
            # After the last epoch nothing resumes from the optimizer's state, which is two thirds of a checkpoint.
            done = is_done(spec.training, history, trainer.steps_per_epoch)
            state = {} if done else trainer.optimizer.state_dict()
            checkpoint = Checkpoint(spec, trainer.model.state_dict(), state, history, trainer.scaler.state_dict())
            if best and spec.training.keep_best:
                trial.check()
                save_checkpoint(trial.folder, BEST_CHECKPOINT, replace(checkpoint, optimizer={}))
            started = time.monotonic()
            if done or started >= due:
                trial.check()
                save_checkpoint(trial.folder, LAST_CHECKPOINT, checkpoint)
                due = time.monotonic() + (time.monotonic() - started) / CHECKPOINT_SHARE
                yield from unsaved
                unsaved = []
        check_target(spec.training, history)
        trained = Trained(history, generalization(trainer.model, data), weights_digest(trainer.model.state_dict()))
        trial.check()
        trial.write_trained(trained)


def one_epoch(trainer: Trainer, epoch: int, load: MachineLoad | None = None) -> EpochMetrics:
    """Train for one epoch, then evaluate the network; the load of the machine is read right after the last batch."""
    started = time.perf_counter()
    training, data, model = trainer.spec.training, trainer.data, trainer.model
    learning_rate = trainer.set_learning_rate(learning_rate_factor(epoch, training))
    steps_left = training.iterations and training.iterations - epoch * trainer.steps_per_epoch
    train_loss = trainer.train_epoch(epoch, steps_left)
    system = load.read() if load else {}
    validation_accuracy = None if data.validation is None else accuracy(model, data.validation, data.normalize)
    trainer.end_epoch(validation_accuracy)
    test_losses, test_correct = evaluate(model, data.test, data.normalize)
    return EpochMetrics(
        epoch=epoch,
        learning_rate=learning_rate,
        train_loss=train_loss,
        test_loss=test_losses.mean().item(),
        test_accuracy=test_correct.mean().item(),
        seconds=time.perf_counter() - started,
        timestamp=time.time(),
        validation_accuracy=validation_accuracy,
        system=system,
    )


def resume(trainer: Trainer, trial: TrialFolder) -> list[EpochMetrics]:
    """Load the last checkpoint of a folder into the trainer, or begin the folder; the epochs that are done."""
    last = last_checkpoint(trainer.spec, trial, trainer.device)
    there = trial.folder.names()
    if SPEC_FILE not in there:
        trial.write_spec(trainer.spec)
    if INITIAL_CHECKPOINT not in there:
        save_checkpoint(trial.folder, INITIAL_CHECKPOINT, Checkpoint(trainer.spec, trainer.model.state_dict(), {}, []))
    if last is None:
        return []
    trainer.model.load_state_dict(last.model)
    if last.optimizer:
        trainer.optimizer.load_state_dict(last.optimizer)
    if last.scaler:
        trainer.scaler.load_state_dict(last.scaler)
    return last.history


def last_checkpoint(spec: TrialSpec, trial: TrialFolder, device: torch.device) -> Checkpoint | None:
    """The checkpoint from which a trial goes on; None if there is none, and training starts at the beginning.

    A damaged one is removed, with a warning.
    """
    try:
        return load_checkpoint(trial.folder, LAST_CHECKPOINT, device, spec.trial_id)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        warnings.warn(f"{error.args[0].partition(';')[0]}; training starts again", stacklevel=2)
        trial.start_again()
        return None


def is_done(training: TrainingSpec, history: list[EpochMetrics], steps_per_epoch: int) -> bool:
    """Whether one of the stopping criteria is met: epochs, iterations, or the target of the training loss."""
    target = training.target_train_loss
    return (
        len(history) >= training.epochs
        or (training.iterations is not None and len(history) * steps_per_epoch >= training.iterations)
        or (target is not None and bool(history) and history[-1].train_loss <= target)
    )


def check_target(training: TrainingSpec, history: list[EpochMetrics]) -> None:
    """Refuse a network whose training ended before the loss reached its target: it is not comparable with others.

    Raises:
        TrainingError: the message has the loss, its target, and the remedy.
    """
    target, reached = training.target_train_loss, history[-1].train_loss
    if target is not None and reached > target:
        raise TrainingError(
            f"training.target_train_loss {target:g} was not reached: the loss is {reached:g} after {len(history)} "
            "epochs; allow more epochs or iterations, or a higher loss"
        )


def check_validation(spec: TrialSpec, data: Dataset) -> None:
    """Refuse a warm-up that depends on the validation accuracy if there are no validation images.

    Raises:
        TrainingError: the message has the key and the remedy.
    """
    if isinstance(spec.optimizer, RSAMSpec) and spec.optimizer.plain_until_accuracy is not None and not data.validation:
        raise TrainingError(
            f"plain_until_accuracy needs validation images, and {spec.data.dataset} has none; hold some out with "
            "data.validation, or give plain_epochs"
        )


def initial_model(spec: TrialSpec, data: Dataset) -> nn.Module:
    """The network with its initial weights, which depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(spec.seed, "initial weights"))
        return build_model(spec.model, data.num_classes, data.in_channels)


def attempt(
    spec: TrialSpec, trial: TrialFolder, device: torch.device, system_metrics: bool = False
) -> Iterator[EpochMetrics]:
    """As `train`, but an error is recorded as the trial's failure, so that other trials go on.

    Raises:
        StorageError: the storage failed, which is not the trial's fault.
        ReplacedError: another worker now trains the trial, and will record its outcome.
    """
    try:
        yield from train(spec, trial, device, system_metrics)
    except (StorageError, ReplacedError):
        raise
    except Exception as error:  # noqa: BLE001 - a failed trial is a result with a reason, whatever the reason is
        trial.check()
        write_failure(trial.folder, Failure.of("training", error))
