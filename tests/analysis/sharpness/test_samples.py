"""Samples in all their forms give the same products; loaders are read once, or again on every pass."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from analysis.errors import AnalysisError
from analysis.settings import SharpnessSettings
from analysis.sharpness import block_operator, check_invariance, layer_spectra, measure
from analysis.sharpness.loss import CrossEntropy
from analysis.sharpness.problem import pose
from analysis.sharpness.samples import gather
from tests.analysis.sharpness.networks import perceptron, samples

SMALL = 4 * 64  # bytes: the samples below do not fit into a quarter


class Several(nn.Module):
    """Tokens and numbers in, a mapping out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.mix, self.head = nn.Embedding(7, 4), nn.Linear(6, 4), nn.Linear(4, 3)

    def forward(self, ids: Tensor, x: Tensor, flip: bool = False) -> dict[str, Tensor | None]:
        hidden = torch.relu(self.embedding(ids).mean(1) + self.mix(x))
        return {"logits": self.head(hidden), "loss": None}


def several() -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    x, y = samples()
    ids = torch.randint(0, 7, (len(x), 5), generator=torch.Generator().manual_seed(1))
    return Several().double(), ids, x, y


def as_mappings(ids: Tensor, x: Tensor, y: Tensor) -> Iterator[dict[str, Any]]:
    for part in zip(ids.split(8), x.split(8), y.split(8), strict=True):
        yield dict(zip(("ids", "x", "labels"), part, strict=True))


FORMS: dict[str, Callable[[Tensor, Tensor, Tensor], tuple[Any, ...]]] = {
    "a mapping": lambda ids, x, y: ({"x": x, "ids": ids, "flip": True}, y),
    "numpy arrays": lambda ids, x, y: ((ids.numpy().astype(np.int32), x.numpy()), y.numpy()),
    "a loader": lambda ids, x, y: (DataLoader(TensorDataset(ids, x, y), batch_size=7),),
    "a list of batches": lambda ids, x, y: ([((ids[:9], x[:9]), y[:9]), ((ids[9:], x[9:]), y[9:])],),
    "batches that are mappings": lambda ids, x, y: (as_mappings(ids, x, y),),
    "float32 batches": lambda ids, x, y: ([((ids, x.float().double().float()), y)],),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_every_form_gives_the_same_products(form: str, curvature: str) -> None:
    model, ids, x, y = several()
    x = x.float().double()
    for layer in ("mix.weight", "embedding.weight", None):
        reference = block_operator(model, (ids, x), y, layer, "double_backward", curvature=curvature)
        given = FORMS[form](ids, x, y)
        targets = given[1] if len(given) > 1 else None
        block = block_operator(model, given[0], targets, layer, curvature=curvature)
        V = torch.randn(2, block.dim, generator=torch.Generator().manual_seed(2)).double()
        assert torch.allclose(block.matmat(V), reference.matmat(V), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("size", [1, 4, 7, 30, 100])
def test_a_stream_is_cut_into_the_same_pieces_as_tensors(size: int) -> None:
    x, y = samples()
    streamed = pose(perceptron(), DataLoader(TensorDataset(x, y), batch_size=7), memory_budget=SMALL)
    assert streamed.stream is not None
    assert streamed.num_samples == 30
    expected = list(pose(perceptron(), x, y).chunks(size))
    found = list(streamed.chunks(size))
    assert [chunk.num_samples for chunk in found] == [chunk.num_samples for chunk in expected]
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(found, expected, strict=True))


def test_batches_that_are_read_again_reach_a_half_precision_network_as_they_are() -> None:
    x, y = torch.randn(40, 6), torch.arange(40) % 3
    model = perceptron().bfloat16()
    streamed = pose(model, DataLoader(TensorDataset(x, y), batch_size=7), memory_budget=SMALL)
    assert streamed.stream is not None
    assert torch.equal(torch.cat([chunk.inputs for chunk in streamed.chunks(9)]), x)
    assert torch.equal(torch.cat([chunk.inputs for chunk in streamed.to(torch.float64).chunks(9)]), x.double())


def test_a_stream_gives_the_same_products_and_a_reason_for_its_engine() -> None:
    x, y = samples()
    y = torch.where(torch.arange(30) % 4 == 0, -100, y)
    loss = CrossEntropy(weight=(0.5, 1.0, 3.0))
    source = DataLoader(TensorDataset(x, y), batch_size=7)
    model = perceptron()
    streamed = pose(model, source, loss=loss, memory_budget=SMALL)
    held = pose(model, x, y, loss)
    assert (streamed.scale, streamed.even) == (held.scale, False)
    block = block_operator(model, gather(model, source, memory_budget=SMALL), layer="2.weight", loss=loss)
    reference = block_operator(model, x, y, "2.weight", loss=loss)
    V = torch.randn(3, block.dim, generator=torch.Generator().manual_seed(2)).double()
    assert block.engine == "double_backward"
    assert torch.allclose(block.matmat(V), reference.matmat(V), rtol=1e-9, atol=1e-14)
    with pytest.warns(RuntimeWarning, match="do not fit into the memory budget, and are read again"):
        block_operator(model, gather(model, source, memory_budget=SMALL), None, "0.weight", "r_operator", loss=loss)


def test_measures_of_a_stream_are_those_of_tensors() -> None:
    x, y = samples()
    loader = DataLoader(TensorDataset(x, y), batch_size=7)
    # Spectra's vectors have their own limit, so only measures without them are compared under the small budget.
    names = ["l2", "sam", "asam_n", "fisher_rao", "haar_loss"]
    found = measure(perceptron(), loader, measures=names, memory_budget=SMALL)
    expected = measure(perceptron(), x, y, SharpnessSettings(), measures=names)
    for row, reference in zip(found, expected, strict=True):
        if row.measure == "haar_loss":
            assert row.value is None
            assert "in memory" in str(row.reason)
        else:
            assert row.value == pytest.approx(reference.value, rel=1e-10)


def test_every_function_takes_a_loader() -> None:
    x, y = samples()
    loader = DataLoader(TensorDataset(x, y), batch_size=7)
    found, expected = layer_spectra(perceptron(), loader, layers=[None]), layer_spectra(perceptron(), x, y, [None])
    assert np.allclose(found[None].nodes, expected[None].nodes, rtol=1e-12)
    drift = check_invariance(perceptron(), loader, measures=["trace", "l2"])
    assert drift.output_change < 1e-12


class Shuffled:
    """Batches in another order on every pass."""

    def __init__(self) -> None:
        self.passes = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.passes += 1
        order = torch.arange(30).roll(self.passes)
        x, y = samples()
        yield from zip(x[order].split(10), y[order].split(10), strict=True)


def test_shuffling_is_read_once_or_refused() -> None:
    source = Shuffled()
    assert pose(perceptron(), source).num_samples == 30
    assert source.passes == 1
    with pytest.raises(AnalysisError, match="batch 0 differs from one pass to the next; switch shuffling"):
        pose(perceptron(), source, memory_budget=SMALL)


def test_an_iterator_that_does_not_fit_is_refused() -> None:
    x, y = samples()
    with pytest.raises(AnalysisError, match="iterator can be read only once; pass a DataLoader or a list"):
        gather(perceptron(), zip(x.split(4), y.split(4), strict=True), memory_budget=SMALL)


BAD: dict[str, tuple[object, str]] = {
    "a tensor alone": (torch.zeros(3, 6), "in their place a DataLoader.*got Tensor without targets"),
    "inputs alone": ([torch.zeros(3, 6)], r"batch 0 must be \(inputs, targets\).*got Tensor"),
    "nothing": ([], "the iterable of batches is empty"),
    "no labels": ([{"x": torch.zeros(3, 6)}], "under one of labels, label.*got the keys 'x'"),
    "other shapes": (
        [(torch.zeros(2, 6), torch.zeros(2)), (torch.zeros(2, 5), torch.zeros(2))],
        "batch 1 has samples of",
    ),
    "a number": (3, "got int without targets"),
}


@pytest.mark.parametrize("what", BAD)
def test_other_samples_are_refused(what: str) -> None:
    source, message = BAD[what]
    with pytest.raises(AnalysisError, match=message):
        gather(perceptron(), source)


def test_a_scalar_loss_is_checked_on_all_samples() -> None:
    """The first samples all count; that a later one is ignored makes the scalar no mean over samples."""
    x, y = samples()
    y[20] = -100
    with pytest.raises(AnalysisError, match="not the mean over samples"):
        pose(perceptron(), x, y, lambda f, y: nn.functional.cross_entropy(f, y))
