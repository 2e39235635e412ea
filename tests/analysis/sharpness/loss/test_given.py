"""What the argument `loss` takes."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from analysis.errors import AnalysisError
from analysis.settings import LossSettings
from analysis.sharpness.loss import (
    LOSSES,
    BinaryCrossEntropy,
    CrossEntropy,
    Loss,
    LossFunction,
    MeanSquaredError,
    loss_in,
    loss_of,
)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("cross_entropy", CrossEntropy()),
        ("mse", MeanSquaredError()),
        ("bce", BinaryCrossEntropy()),
        (functional.cross_entropy, CrossEntropy()),
        (functional.mse_loss, MeanSquaredError()),
        (functional.binary_cross_entropy_with_logits, BinaryCrossEntropy()),
        (nn.MSELoss(), MeanSquaredError()),
        (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0])), BinaryCrossEntropy((2.0,))),
        (
            nn.CrossEntropyLoss(torch.tensor([0.5, 2.0]), ignore_index=1, label_smoothing=0.25),
            CrossEntropy(0.25, (0.5, 2.0), 1),
        ),
        (CrossEntropy(0.1), CrossEntropy(0.1)),
        (functional.l1_loss, LossFunction(functional.l1_loss)),
    ],
)
def test_names_modules_and_functions(given: object, meant: Loss) -> None:
    assert loss_of(given) == meant  # type: ignore[arg-type]


def test_another_module_is_a_function() -> None:
    module = nn.HuberLoss()
    assert loss_of(module) == LossFunction(module)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("mes", "cross_entropy, mse, bce; got 'mes'; did you mean mse"),
        (3, "got int"),
        (nn.CrossEntropyLoss(reduction="sum"), "reduction='sum' is not a mean"),
        (nn.MSELoss(reduction="none"), "reduction='none' is not a mean"),
    ],
)
def test_anything_else_is_refused(given: object, message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        loss_of(given)  # type: ignore[arg-type]


def test_a_loss_is_frozen_and_can_be_compared() -> None:
    assert len({*LOSSES.values(), CrossEntropy()}) == len(LOSSES)


def test_settings_name_a_loss() -> None:
    assert loss_in(LossSettings()) == CrossEntropy()
    assert loss_in(LossSettings(label_smoothing=0.1, class_weights=(1.0, 2.0))) == CrossEntropy(0.1, (1.0, 2.0))
    assert loss_in(LossSettings(name="torch.nn.functional.l1_loss")) == LossFunction(functional.l1_loss)
    with pytest.raises(AnalysisError, match=r"loss 'no.such' can't be imported"):
        loss_in(LossSettings(name="no.such"))
