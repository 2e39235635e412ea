"""How a network is called, and what it may return."""

from collections import UserDict
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from analysis.errors import AnalysisError
from analysis.sharpness.forward import outputs_in, run

F = torch.ones(2, 3)


class Output:
    """As Hugging Face's."""

    def __init__(self, **entries: object) -> None:
        self.__dict__.update(entries)


class Named(NamedTuple):
    """As torchvision's inception."""

    aux: None
    logits: Tensor


@pytest.mark.parametrize(
    "result",
    [
        F,
        (F, torch.zeros(1)),
        [F],
        {"out": F, "aux": torch.zeros(2, 3)},
        {"logits": F, "hidden": (F * 0,)},
        {"only": F, "loss": None},
        UserDict(logits=F),
        Output(logits=F, loss=None),
        Named(None, F),
    ],
)
def test_outputs_are_found(result: object) -> None:
    assert outputs_in(result) is F


@pytest.mark.parametrize(
    ("result", "got"),
    [
        ({"a": F, "b": F}, "the keys 'a', 'b'"),
        (None, "got NoneType"),
        ((), "got tuple"),
        (Output(scores=F), "got Output"),
    ],
)
def test_other_results_are_refused(result: object, got: str) -> None:
    with pytest.raises(AnalysisError, match=rf"{got}.*Wrap the model"):
        outputs_in(result)


def test_tuples_are_passed_by_position_and_mappings_by_name() -> None:
    class Both(nn.Module):
        def forward(self, x: Tensor, y: Tensor, scale: float = 1.0) -> Tensor:
            return (x - y) * scale

    assert torch.equal(run(Both(), {}, (2 * F, F)), F)
    assert torch.equal(run(Both(), {}, {"y": F, "x": 3 * F, "scale": 0.5}), F)
