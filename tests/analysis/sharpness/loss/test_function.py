"""Losses that are functions of the user's: what they may return."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, l1_loss

from analysis.errors import AnalysisError
from analysis.sharpness.loss import LossFunction

OUTPUTS = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.tensor([0, 2, 1, 1])


def weighted(outputs: Tensor, targets: Tensor) -> Tensor:
    """A mean over weights, not over samples."""
    return cross_entropy(outputs, targets, torch.tensor([1.0, 5.0, 0.5]).double())


def contrast(outputs: Tensor, targets: Tensor) -> Tensor:
    """Couples the samples."""
    return (outputs @ outputs.T).mean()


@pytest.mark.parametrize("function", [weighted, contrast, lambda f, y: cross_entropy(f, y, reduction="sum")])
def test_a_scalar_that_is_not_the_mean_over_samples_is_refused(function: object) -> None:
    with pytest.raises(AnalysisError, match="returns a scalar that is not the mean over samples"):
        LossFunction(function).check(OUTPUTS, TARGETS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda f, y: cross_entropy(f, y).item(), "float"),
        (lambda f, y: l1_loss(f, f * 0, reduction="none"), r"shape \(4, 3\)"),
    ],
)
def test_other_results_are_refused(function: object, got: str) -> None:
    with pytest.raises(AnalysisError, match=rf"must return the \(4,\) losses.*got {got}"):
        LossFunction(function).check(OUTPUTS, TARGETS)  # type: ignore[arg-type]


def test_targets_may_be_several_tensors() -> None:
    def loss(outputs: Tensor, targets: dict[str, Tensor]) -> Tensor:
        return cross_entropy(outputs, targets["y"], reduction="none") * targets["w"]

    targets = {"y": TARGETS, "w": torch.arange(4.0).double()}
    function = LossFunction(loss)
    function.check(OUTPUTS[:2], targets)
    expected = cross_entropy(OUTPUTS, TARGETS, reduction="none") @ targets["w"] / 4
    assert torch.allclose(function.mean(OUTPUTS, targets), expected)


def test_a_loss_that_is_linear_in_the_outputs_has_no_curvature() -> None:
    loss = LossFunction(lambda f, y: f.sum(1))
    assert not loss.curvature(OUTPUTS, TARGETS, torch.ones(4, 2, 3).double()).any()


def test_there_is_no_root() -> None:
    with pytest.raises(AnalysisError, match="no square root is known"):
        LossFunction(weighted).root(OUTPUTS, TARGETS)
