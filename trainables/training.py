"""Training one trial: a plain loop over epochs that can be cut and taken up again between any two of them."""

import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from analysis.seeding import derive_seed
from trainables.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from trainables.data import Dataset, load_dataset
from trainables.errors import DivergedError
from trainables.models import build_model
from trainables.optimizers.build import build_optimizer
from trainables.schedules import learning_rate_factor
from trainables.specs import TrialSpec
from trainables.trial_folder import (
    INITIAL_CHECKPOINT,
    LAST_CHECKPOINT,
    EpochMetrics,
    Failure,
    Generalization,
    Trained,
    TrialFolder,
)

EVALUATION_BATCH = 1024


def train(spec: TrialSpec, trial: TrialFolder, device: torch.device) -> Iterator[EpochMetrics]:
    """Train a trial from wherever its folder says it is, yielding each epoch after its checkpoint is written.

    When the iterator ends, the folder holds the initial and the last checkpoint and the outcome. Every random draw
    is seeded by (seed, purpose, epoch), so on the CPU a trial that was cut ends with the same bits as one that was not.

    Raises:
        TrainingError: the network or the data can't be had as specified.
        DivergedError: the loss is no longer finite.
    """
    data = load_dataset(spec.data).to(device)
    model = initial_model(spec, data).to(device)
    optimizer = build_optimizer(spec.optimizer, model)
    base_rates = [group["lr"] for group in optimizer.param_groups]
    history: list[EpochMetrics] = []
    try:
        last = load_checkpoint(trial.folder, LAST_CHECKPOINT, device)
    except FileNotFoundError:
        trial.write_spec(spec)
        save_checkpoint(trial.folder, INITIAL_CHECKPOINT, Checkpoint(spec, model.state_dict(), {}, []))
    else:
        model.load_state_dict(last.model)
        optimizer.load_state_dict(last.optimizer)
        history = last.history
    for epoch in range(len(history), spec.training.epochs):
        started = time.perf_counter()
        factor = learning_rate_factor(epoch, spec.training)
        for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
            group["lr"] = rate * factor
        train_loss = train_epoch(model, optimizer, data, spec, epoch)
        test_losses, test_correct = evaluate(model, data.test_inputs, data.test_targets)
        metrics = EpochMetrics(
            epoch=epoch,
            learning_rate=base_rates[0] * factor,
            train_loss=train_loss,
            test_loss=test_losses.mean().item(),
            test_accuracy=test_correct.mean().item(),
            seconds=time.perf_counter() - started,
            timestamp=time.time(),
        )
        history = [*history, metrics]
        checkpoint = Checkpoint(spec, model.state_dict(), optimizer.state_dict(), history)
        save_checkpoint(trial.folder, LAST_CHECKPOINT, checkpoint)
        yield metrics
    trial.write_trained(Trained(history, generalization(model, data)))


def initial_model(spec: TrialSpec, data: Dataset) -> nn.Module:
    """The network at its initial weights, which depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(spec.seed, "initial weights"))
        return build_model(spec.model, data.num_classes, data.in_channels)


def train_epoch(model: nn.Module, optimizer: Optimizer, data: Dataset, spec: TrialSpec, epoch: int) -> float:
    """One pass over the training set in random batches, the last incomplete one kept; the mean loss."""
    model.train()
    device = data.train_targets.device
    generator = torch.Generator().manual_seed(derive_seed(spec.seed, "batches", epoch))
    order = torch.randperm(len(data.train_targets), generator=generator).to(device, non_blocking=True)
    total = torch.zeros((), dtype=torch.float64, device=device)
    for batch in order.split(spec.training.batch_size):
        inputs, targets = data.train_inputs[batch], data.train_targets[batch]

        def closure(inputs: Tensor = inputs, targets: Tensor = targets) -> Tensor:
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            return loss

        loss: Tensor = optimizer.step(closure)  # type: ignore[assignment,arg-type]
        total += loss.detach().double() * len(batch)
    mean = total.item() / len(order)  # the only wait for the device in an epoch
    if not math.isfinite(mean):
        raise DivergedError(f"the training loss became {mean} in epoch {epoch}; try a smaller learning rate")
    return mean


@torch.no_grad()
def evaluate(model: nn.Module, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy (N,) of each sample in float64, and whether each is classified right (N,), in eval mode."""
    model.eval()
    logits = torch.cat([model(batch) for batch in inputs.split(EVALUATION_BATCH)]).double()
    return cross_entropy(logits, targets, reduction="none"), (logits.argmax(dim=1) == targets).double()


def stderr_of_mean(values: Tensor) -> float:
    """Standard error of the mean of independent values (N,)."""
    return values.std().item() / math.sqrt(len(values))


def generalization(model: nn.Module, data: Dataset) -> Generalization:
    """The quantities of SPEC §2, over the whole training set (not augmented) and the whole test set.

    Raises:
        DivergedError: the weights give no finite loss.
    """
    train_losses, train_correct = evaluate(model, data.train_inputs, data.train_targets)
    test_losses, test_correct = evaluate(model, data.test_inputs, data.test_targets)
    result = Generalization(
        train_loss=train_losses.mean().item(),
        train_loss_stderr=stderr_of_mean(train_losses),
        train_accuracy=train_correct.mean().item(),
        train_accuracy_stderr=stderr_of_mean(train_correct),
        test_loss=test_losses.mean().item(),
        test_loss_stderr=stderr_of_mean(test_losses),
        test_accuracy=test_correct.mean().item(),
        test_accuracy_stderr=stderr_of_mean(test_correct),
    )
    if not math.isfinite(result.gap_loss):
        raise DivergedError("the final weights give no finite loss; try a smaller learning rate")
    return result


def attempt(spec: TrialSpec, trial: TrialFolder, device: torch.device) -> Iterator[EpochMetrics]:
    """As `train`, but whatever goes wrong becomes the trial's recorded failure, so that other trials go on."""
    try:
        yield from train(spec, trial, device)
    except Exception as error:  # noqa: BLE001 - a failed trial is a result with a reason, whatever the reason is
        trial.write_failure(Failure.of("training", error))
