"""Losses with all their options, each with outputs, targets, and the function of torch's that it must equal."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from analysis.sharpness.loss import BinaryCrossEntropy, CrossEntropy, Loss, LossFunction, MeanSquaredError

N, C = 5, 4
WEIGHT = (0.5, 2.0, 0.0, 1.5)


@dataclass(frozen=True)
class Case:
    """A loss at a point."""

    loss: Loss
    outputs: Tensor
    targets: Tensor
    torch: Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) → the mean


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def classes(*shape: int, ignored: bool = False) -> Tensor:
    found = torch.randint(0, C, shape, generator=torch.Generator().manual_seed(4))
    return (
        torch.where(torch.rand(*shape, generator=torch.Generator().manual_seed(5)) < 0.4, -100, found)
        if ignored
        else found
    )


def soft(*shape: int, dim: int = 1) -> Tensor:
    return normal(*shape).softmax(dim)


def tokens(outputs: Tensor, targets: Tensor, **options: Any) -> Tensor:
    """As language models call it: every position is a sample."""
    flat = targets.flatten(0, -2) if targets.is_floating_point() else targets.flatten()
    loss: Tensor = functional.cross_entropy(outputs.flatten(0, -2), flat, **options)
    return loss


def _cross_entropies() -> dict[str, Case]:
    ce, w = functional.cross_entropy, torch.tensor(WEIGHT, dtype=torch.float64)
    f, y = normal(N, C), classes(N)
    pixels, of_pixels = normal(N, C, 2, 3), classes(N, 2, 3, ignored=True)
    words, of_words = normal(N, 3, C), classes(N, 3, ignored=True)
    both = CrossEntropy(label_smoothing=0.2, weight=WEIGHT)
    options: dict[str, Any] = {"weight": w, "label_smoothing": 0.2}
    return {
        "plain": Case(CrossEntropy(), f, y, ce),
        "smoothed": Case(CrossEntropy(label_smoothing=0.2), f, y, partial(ce, label_smoothing=0.2)),
        "weighted": Case(CrossEntropy(weight=WEIGHT), f, y, partial(ce, weight=w)),
        "both": Case(both, f, y, partial(ce, **options)),
        "ignoring": Case(CrossEntropy(), f, classes(N, ignored=True), ce),
        "ignoring a class": Case(CrossEntropy(ignore_index=1), f, y, partial(ce, ignore_index=1)),
        "all ignoring": Case(both, f, classes(N, ignored=True), partial(ce, **options)),
        "soft": Case(CrossEntropy(), f, soft(N, C), ce),
        "soft, both": Case(both, f, soft(N, C), partial(ce, **options)),
        "soft, sums of two": Case(CrossEntropy(), f, 2 * soft(N, C), ce),
        "pixels": Case(CrossEntropy(), pixels, classes(N, 2, 3), ce),
        "pixels, all": Case(both, pixels, of_pixels, partial(ce, **options)),
        "pixels, soft": Case(both, pixels, soft(N, C, 2, 3), partial(ce, **options)),
        "tokens": Case(CrossEntropy(), words, classes(N, 3), tokens),
        "tokens, all": Case(both, words, of_words, partial(tokens, **options)),
        "tokens, soft": Case(CrossEntropy(weight=WEIGHT), words, soft(N, 3, C, dim=2), partial(tokens, weight=w)),
        "two tokens dimensions": Case(CrossEntropy(), normal(N, 2, 3, C), classes(N, 2, 3), tokens),
    }


def _elementwise() -> dict[str, Case]:
    bce, v = functional.binary_cross_entropy_with_logits, torch.tensor(WEIGHT, dtype=torch.float64)
    return {
        "mse": Case(MeanSquaredError(), normal(N, C), normal(N, C) + 1, functional.mse_loss),
        "mse of one number": Case(MeanSquaredError(), normal(N), normal(N) + 1, functional.mse_loss),
        "mse of pixels": Case(MeanSquaredError(), normal(N, 2, 3), soft(N, 2, 3), functional.mse_loss),
        "bce": Case(BinaryCrossEntropy(), normal(N, C), soft(N, C), bce),
        "bce, weighted": Case(BinaryCrossEntropy(WEIGHT), normal(N, C), soft(N, C), partial(bce, pos_weight=v)),
        "bce of one number": Case(
            BinaryCrossEntropy((3.0,)), normal(N), soft(N, 1)[:, 0], partial(bce, pos_weight=3 * v[:1] / v[0])
        ),
    }


def huber(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean of a loss that is not one of ours."""
    return functional.smooth_l1_loss(outputs, targets)


def each_log_cosh(outputs: Tensor, targets: Tensor) -> Tensor:
    """The losses of the samples, of another."""
    return (outputs - targets).cosh().log().sum(1)


WITH_ROOT = _cross_entropies() | _elementwise()
FUNCTIONS = {
    "a mean": Case(LossFunction(huber), normal(N, C), 2 * normal(N, C).flip(0), huber),
    "losses": Case(
        LossFunction(each_log_cosh), normal(N, C), normal(N, C).flip(0), lambda f, y: each_log_cosh(f, y).mean()
    ),
}
CASES = WITH_ROOT | FUNCTIONS
