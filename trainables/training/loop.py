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
from trainables.trial.code import Code, code_of
from trainables.trial.folder import (
    BEST_CHECKPOINT,
    INITIAL_CHECKPOINT,
    LAST_CHECKPOINT,
    SPEC_FILE,
    EpochMetrics,
    Failure,
    Trained,
    TrialFolder,
)
from trainables.trial.recipe import misfits
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
    if trial.is_trained:
        return
    with determinism(spec.training.deterministic):
        data = load_dataset(spec.data).to(device)
        check_validation(spec, data)
        check_images(spec, data)
        trainer = Trainer(spec, initial_model(spec, data), data)
        history = resume(trainer, trial)
        trial.write_code(checked_code(spec))
        unsaved: list[EpochMetrics] = []
        due = time.monotonic()
        load = MachineLoad(device) if system_metrics else None
        while not is_done(spec.training, history, trainer.steps_per_epoch):
            metrics = one_epoch(trainer, history, load)
            best = is_best(metrics, history)
            history = [*history, metrics]
            unsaved.append(metrics)
            done = is_done(spec.training, history, trainer.steps_per_epoch)
            checkpoint = checkpoint_of(trainer, history, done)
            if best and spec.training.keep_best:
                alone = replace(checkpoint, optimizer={}, unaveraged={})
                save_checkpoint(trial.folder, BEST_CHECKPOINT, alone, trial.check)
            started = time.monotonic()
            if done or started >= due:
                save_checkpoint(trial.folder, LAST_CHECKPOINT, checkpoint, trial.check)
                due = time.monotonic() + (time.monotonic() - started) / CHECKPOINT_SHARE
                yield from unsaved
                unsaved = []
        check_target(spec.training, history)
        trained = Trained(history, generalization(trainer.network, data), weights_digest(trainer.network.state_dict()))
        trial.check()
        trial.write_trained(trained)


def checked_code(spec: TrialSpec) -> Code:
    """The code with which this machine trains a trial.

    Raises:
        TrainingError: it is not the one that is part of the trial's identity.
    """
    code = code_of([spec.model], spec.data)
    here = code.own[spec.model].digest if spec.model in code.own else "none"
    if spec.code not in (None, here):
        raise TrainingError(
            f"model {spec.model!r}: the code on this machine ({here}) is not the trial's ({spec.code}); bring it here, "
            "or give the command again to have trials of the code that is here"
        )
    return code


def checkpoint_of(trainer: Trainer, history: list[EpochMetrics], done: bool) -> Checkpoint:
    """The state of training after some epochs, `done` or to be continued.

    After the last epoch nothing resumes from the optimizer's state, which is two thirds of a checkpoint.
    """
    state = {} if done else trainer.optimizer.state_dict()
    moved = {} if done or trainer.averaged is None else trainer.model.state_dict()
    scaler = trainer.scaler.state_dict()
    return Checkpoint(trainer.spec, trainer.network.state_dict(), state, history, scaler, moved)


def one_epoch(trainer: Trainer, history: list[EpochMetrics], load: MachineLoad | None = None) -> EpochMetrics:
    """Train for one more epoch, then evaluate the network, if that is due.

    It is due every `evaluate_every` epochs, and after the last. What a decision depends on is evaluated in every epoch:
    the training loss of averaged weights where there is a target for it, the validation accuracy where a warm-up waits
    for it. The load of the machine is read right after the last batch.
    """
    started = time.perf_counter()
    training, data, network, epoch = trainer.spec.training, trainer.data, trainer.network, len(history)
    learning_rate = trainer.set_learning_rate(learning_rate_factor(epoch, training))
    steps_left = training.iterations and training.iterations - epoch * trainer.steps_per_epoch
    train_loss = trainer.train_epoch(epoch, steps_left)
    metrics = EpochMetrics(epoch, learning_rate, train_loss, None, None, 0.0, 0.0, system=load.read() if load else {})
    if trainer.averaged is not None and training.target_train_loss is not None:
        losses, _ = evaluate(network, data.train, data.normalize)
        metrics = replace(metrics, averaged_train_loss=losses.mean().item())
    last = is_done(training, [*history, metrics], trainer.steps_per_epoch)
    due = last or (epoch + 1) % training.evaluate_every == 0
    if data.validation is not None and (due or waits_for_accuracy(trainer.spec)):
        metrics = replace(metrics, validation_accuracy=accuracy(network, data.validation, data.normalize))
    trainer.end_epoch(metrics.validation_accuracy)
    if due:
        losses, correct = evaluate(network, data.test, data.normalize)
        metrics = replace(metrics, test_loss=losses.mean().item(), test_accuracy=correct.mean().item())
    return replace(metrics, seconds=time.perf_counter() - started, timestamp=time.time())


def is_best(metrics: EpochMetrics, history: list[EpochMetrics]) -> bool:
    """Whether an epoch that was evaluated is better than all before it that were."""
    earlier = [epoch.choice for epoch in history if epoch.choice is not None]
    return metrics.choice is not None and all(metrics.choice > choice for choice in earlier)


def resume(trainer: Trainer, trial: TrialFolder) -> list[EpochMetrics]:
    """Load the last checkpoint of a folder into the trainer, or begin the folder; the epochs that are done."""
    last = last_checkpoint(trainer.spec, trial, trainer.device)
    there = trial.folder.names()
    if SPEC_FILE not in there:
        trial.write_spec(trainer.spec)
    if INITIAL_CHECKPOINT not in there:
        initial = Checkpoint(trainer.spec, trainer.model.state_dict(), {}, [])
        save_checkpoint(trial.folder, INITIAL_CHECKPOINT, initial, trial.check_if_claimed)
    if last is None:
        return []
    if trainer.averaged is not None:
        trainer.averaged.network.load_state_dict(last.model)
        trainer.averaged.started = True
    trainer.model.load_state_dict(last.unaveraged or last.model)
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
        or (target is not None and bool(history) and history[-1].target_loss <= target)
    )


def check_target(training: TrainingSpec, history: list[EpochMetrics]) -> None:
    """Refuse a network whose training ended before the loss reached its target: it is not comparable with others.

    Raises:
        TrainingError: the message has the loss, its target, and the remedy.
    """
    target, reached = training.target_train_loss, history[-1].target_loss
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
    if waits_for_accuracy(spec) and not data.validation:
        raise TrainingError(
            f"plain_until_accuracy needs validation images, and {spec.data.dataset} has none; hold some out with "
            "data.validation, or give plain_epochs"
        )


def waits_for_accuracy(spec: TrialSpec) -> bool:
    """Whether the steps depend on the validation accuracy of the epochs before."""
    return isinstance(spec.optimizer, RSAMSpec) and spec.optimizer.plain_until_accuracy is not None


def check_images(spec: TrialSpec, data: Dataset) -> None:
    """Refuse settings that do not fit the images, which for some data sets are known only now.

    Raises:
        TrainingError: the message has the keys and the remedy.
    """
    found = misfits(spec.training, len(data.train), min(data.train.images.shape[2:]))
    if found:
        raise TrainingError("; ".join(found))


def initial_model(spec: TrialSpec, data: Dataset) -> nn.Module:
    """The network with its initial weights, which depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(spec.seed, "initial weights"))
        return build_model(spec.model, data.num_classes, data.in_channels)


def attempt(
    spec: TrialSpec, trial: TrialFolder, device: torch.device, system_metrics: bool = False
) -> Iterator[EpochMetrics]:
    """As `train`, but an error is recorded as the trial's failure, so that other trials go on.

    For a worker process, which Ctrl-C does not reach: a KeyboardInterrupt comes from the user's code.

    Raises:
        StorageError: the storage failed, which is not the trial's fault.
        ReplacedError: another worker now trains the trial, and will record its outcome.
    """
    try:
        yield from train(spec, trial, device, system_metrics)
    except (StorageError, ReplacedError):
        raise
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - a failed trial is a result
        trial.fail(Failure.of("training", error))
