"""Samples that are tuples and mappings of tensors."""

from typing import Any

import numpy as np
import pytest
import torch

from analysis.errors import AnalysisError
from analysis.sharpness.tree import first, joined, length, num_bytes, plain, shape_of, slices

TREE: dict[str, Any] = {
    "ids": torch.arange(12).view(4, 3),
    "more": (torch.ones(4), torch.zeros(4, 2)),
    "use_cache": False,
    "scale": 2.0,
}


def test_pieces_join_to_the_whole() -> None:
    pieces = list(slices(TREE, 3))
    assert [length(piece, "a piece") for piece in pieces] == [3, 1]
    whole = joined(pieces)
    assert torch.equal(whole["ids"], TREE["ids"])
    assert torch.equal(whole["more"][1], torch.zeros(4, 2))
    assert whole["use_cache"] is False
    assert shape_of(pieces[0]) == shape_of(TREE)
    assert torch.equal(first(TREE, 2)["ids"], torch.arange(6).view(2, 3))
    assert num_bytes(TREE) == 12 * 8 + 4 * 4 + 8 * 4


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, np.uint16, np.bool_, np.dtype(">f4")])
def test_numpy_arrays_keep_their_numbers(dtype: np.typing.DTypeLike) -> None:
    array = np.arange(6).reshape(3, 2).astype(dtype)[::-1]
    array.flags.writeable = False
    assert torch.equal(plain(array, "inputs").double(), torch.tensor(array.astype(float)))


@pytest.mark.parametrize(
    ("tree", "got"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], "got float|got a list of list|got a list of float"),
        ("text", "got str"),
        (3, "got int"),
        (np.array(["a"]), "a numpy array of"),
        ([], "got an empty list"),
    ],
)
def test_anything_else_is_refused(tree: object, got: str) -> None:
    with pytest.raises(AnalysisError, match=got):
        plain(tree, "inputs")


def test_parts_must_hold_the_same_samples() -> None:
    with pytest.raises(AnalysisError, match=r"parts of inputs must hold the same samples.*got 2 and 3"):
        length((torch.zeros(2), torch.zeros(3)), "inputs")
    with pytest.raises(AnalysisError, match="no tensor with a first dimension"):
        length({"a": 1}, "inputs")
