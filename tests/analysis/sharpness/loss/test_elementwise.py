"""The squared error and the binary cross-entropy: what they refuse, and their digits."""

import pytest
import torch
from torch import Tensor

from analysis.errors import AnalysisError
from analysis.sharpness.loss import BinaryCrossEntropy, Loss, MeanSquaredError

BAD: dict[str, tuple[Loss, Tensor, Tensor, str]] = {
    "a column against a row": (
        MeanSquaredError(),
        torch.zeros(3, 1),
        torch.zeros(3),
        r"float of shape \(N, 1\).*\(3,\)",
    ),
    "classes": (MeanSquaredError(), torch.zeros(3), torch.zeros(3).long(), "one_hot"),
    "other shape": (
        BinaryCrossEntropy(),
        torch.zeros(3, 2),
        torch.zeros(3, 3),
        r"shape \(N, 2\), like the outputs, for bce",
    ),
    "no probability": (BinaryCrossEntropy(), torch.zeros(3), torch.full((3,), 2.0), "must lie in 0 … 1"),
    "three weights": (BinaryCrossEntropy((1.0, 2.0, 3.0)), torch.zeros(3, 2), torch.zeros(3, 2), "hold 1 or 2 numbers"),
}


@pytest.mark.parametrize("what", BAD)
def test_targets_that_do_not_fit_are_refused(what: str) -> None:
    loss, outputs, targets, message = BAD[what]
    with pytest.raises(AnalysisError, match=message):
        loss.fitted(outputs, targets)


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(AnalysisError, match="pos_weight must be finite and at least 0"):
        BinaryCrossEntropy((-1.0,))


def test_flags_and_classes_are_targets_of_the_binary_cross_entropy() -> None:
    outputs = torch.tensor([[0.3], [-2.0]])
    expected = BinaryCrossEntropy().mean(outputs, torch.tensor([[1.0], [0.0]]))
    for targets in (torch.tensor([[True], [False]]), torch.tensor([[1], [0]])):
        loss = BinaryCrossEntropy().fitted(outputs, targets)
        assert loss.mean(outputs, targets) == expected


def test_the_curvature_keeps_its_digits_for_confident_networks() -> None:
    outputs = torch.tensor([[30.0], [-30.0]])
    single = BinaryCrossEntropy().curvature(outputs, torch.zeros(2, 1), torch.ones(2, 1, 1)).double()
    exact = BinaryCrossEntropy().curvature(outputs.double(), torch.zeros(2, 1), torch.ones(2, 1, 1).double())
    assert torch.allclose(single, exact, rtol=1e-5, atol=0)


def test_accuracy_counts_outputs_on_the_right_side() -> None:
    outputs, targets = torch.tensor([[1.0, -1.0], [2.0, 3.0]]), torch.tensor([[1, 0], [0, 1]])
    assert [part.item() for part in BinaryCrossEntropy().hits(outputs, targets)] == [3, 4]
    assert BinaryCrossEntropy().chance(outputs) == 0.5
