"""Losses and accuracies of a network in eval mode, on images without augmentation, in float32."""

import math
import time
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from analysis.life import living
from analysis.sharpness.means import stderr_of_mean
from trainables.catalogue import Shift
from trainables.data import Dataset, Normalization, Split
from trainables.data.corruption import corrupted_batches
from trainables.errors import DivergedError
from trainables.trial.folder import Generalization, ShiftedTest

EVALUATION_BATCH = 512


def evaluate(
    model: nn.Module, split: Split, normalize: Normalization, shift: Shift | None = None
) -> tuple[Tensor, Tensor]:
    """Cross-entropy (N,) of each image in float64, and 1 where it is classified correctly, else 0 (N,).

    With a shift, of the corrupted images.
    """
    images = (
        split.images.split(EVALUATION_BATCH)
        if shift is None
        else corrupted_batches(split.images, shift, normalize.largest, EVALUATION_BATCH)
    )
    return evaluate_inputs(model, (normalize(batch) for batch in images), split.targets)


@torch.no_grad()
def evaluate_inputs(model: nn.Module, batches: Iterable[Tensor], targets: Tensor) -> tuple[Tensor, Tensor]:
    """As `evaluate`, for batches of inputs that are already normalized."""
    model.eval()
    logits = torch.cat([model(batch) for batch in living(batches)]).double()
    return cross_entropy(logits, targets, reduction="none"), (logits.argmax(dim=1) == targets).double()


def accuracy(model: nn.Module, split: Split, normalize: Normalization) -> float:
    """The fraction of images that are classified correctly."""
    return evaluate(model, split, normalize)[1].mean().item()


def generalization(model: nn.Module, data: Dataset) -> Generalization:
    """The quantities of generalization, over the whole training set (not augmented) and the whole test set.

    Raises:
        DivergedError: the weights give no finite loss.
    """
    train_losses, train_correct = evaluate(model, data.train, data.normalize)
    test_losses, test_correct = evaluate(model, data.test, data.normalize)
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


def shifted_test(model: nn.Module, test: Split, normalize: Normalization, shift: Shift) -> ShiftedTest:
    """Loss and accuracy on the whole test set under a shift.

    Raises:
        DivergedError: the loss is not finite.
    """
    losses, correct = evaluate(model, test, normalize, shift)
    if not torch.isfinite(losses).all():
        raise DivergedError(f"{shift.corruption} of strength {shift.strength:g} gives no finite test loss")
    return ShiftedTest(
        strength=shift.strength,
        test_loss=losses.mean().item(),
        test_loss_stderr=stderr_of_mean(losses),
        test_accuracy=correct.mean().item(),
        test_accuracy_stderr=stderr_of_mean(correct),
        timestamp=time.time(),
    )
