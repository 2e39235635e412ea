"""The cross-entropy's own: digits of its root, which dimension holds the classes, and what it refuses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from analysis.errors import AnalysisError
from analysis.sharpness.loss import CrossEntropy


@pytest.mark.parametrize("margin", [5.0, 12.0, 25.0])
def test_root_keeps_its_digits_for_confident_networks(margin: float) -> None:
    """In float32, as well as in float64, though 1 − p is far below float32's precision."""
    outputs = torch.tensor([[margin, 0.0, -1.0], [-1.0, 0.5, margin]], dtype=torch.float64)
    targets = torch.tensor([0, 1])
    exact, single = CrossEntropy().root(outputs, targets), CrossEntropy().root(outputs.float(), targets)
    assert torch.allclose(single.double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("margin", [5.0, 12.0, 25.0])
def test_curvature_keeps_its_digits_for_confident_networks(margin: float) -> None:
    """In float32 too: for a margin of 18, p ∘ (u − ⟨p, u⟩) as it is written errs by 75 %."""
    outputs = torch.tensor([[margin, 0.0, -1.0], [-1.0, 0.5, margin]], dtype=torch.float64)
    targets, U = torch.tensor([0, 1]), torch.tensor([[[0.3, -1.0, 0.7]], [[1.0, 0.2, -0.4]]], dtype=torch.float64)
    roots = CrossEntropy().root(outputs, targets)
    expected = torch.einsum("nrc,nrd,npd->npc", roots, roots, U)
    found = CrossEntropy().curvature(outputs.float(), targets, U.float())
    assert torch.allclose(found.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("num_classes", [1, 2, 10, 200])
def test_root_of_any_number_of_classes(num_classes: int) -> None:
    outputs = torch.randn(4, num_classes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.zeros(4, dtype=torch.int64)
    roots = CrossEntropy().root(outputs, targets)
    assert roots.shape == (4, num_classes - 1, num_classes)
    p = outputs.softmax(1)
    expected = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    assert torch.allclose(torch.einsum("nrc,nrd->ncd", roots, roots), expected, atol=1e-15)


def test_the_plain_mean_is_torchs_to_the_bit() -> None:
    outputs, targets = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)), torch.arange(7) % 3
    assert CrossEntropy().mean(outputs, targets) == cross_entropy(outputs, targets)


@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.floats(0, 1),
    st.lists(st.floats(0, 10), min_size=5, max_size=5),
    st.lists(st.integers(-1, 4), min_size=4, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_any_options_give_torchs_mean(
    num_samples: int, num_classes: int, smoothing: float, weights: list[float], classes: list[int]
) -> None:
    weights = [*weights[: num_classes - 1], 1.0]
    targets = torch.tensor([min(c, num_classes - 1) for c in classes[:num_samples]])
    targets[-1] = num_classes - 1
    outputs = torch.randn(num_samples, num_classes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss = CrossEntropy(smoothing, tuple(weights), ignore_index=-1).fitted(outputs, targets)
    expected = cross_entropy(
        outputs, targets, torch.tensor(weights).double(), ignore_index=-1, label_smoothing=smoothing
    )
    counts = loss.counts(outputs, targets)
    assert torch.allclose(loss.mean(outputs, targets), expected)
    assert torch.allclose(loss.values(outputs, targets).sum() / counts.sum(), expected)


OUTPUTS, CLASSES = torch.zeros(2, 3, 3), torch.zeros(2, 3, dtype=torch.int64)


@pytest.mark.parametrize("class_dim", [1, -1])
def test_a_dimension_that_the_shapes_leave_open_must_be_named(class_dim: int) -> None:
    with pytest.raises(AnalysisError, match=r"leave open which dimension.*CrossEntropy\(class_dim=1\)"):
        CrossEntropy().fitted(OUTPUTS, CLASSES)
    assert CrossEntropy(class_dim=class_dim).fitted(OUTPUTS, CLASSES).class_dim == class_dim


def test_soft_labels_show_their_dimension_by_their_sums() -> None:
    labels = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
    outputs = torch.zeros_like(labels)
    assert CrossEntropy().fitted(outputs, labels / labels.sum(1, keepdim=True)).class_dim == 1
    assert CrossEntropy().fitted(outputs, labels / labels.sum(2, keepdim=True)).class_dim == -1
    with pytest.raises(AnalysisError, match="targets must be"):
        CrossEntropy().fitted(outputs, labels)


BAD: dict[str, tuple[CrossEntropy, Tensor, Tensor, str]] = {
    "too large": (CrossEntropy(), torch.zeros(2, 3), torch.tensor([0, 3]), "must lie in 0 … 2, since .* got 3"),
    "negative": (
        CrossEntropy(),
        torch.zeros(2, 3),
        torch.tensor([0, -1]),
        "got -1; where positions are to be left out",
    ),
    "other numbers": (CrossEntropy(), torch.zeros(2, 3), torch.zeros(2, 4), r"must be \(N,\) integer classes"),
    "flags": (CrossEntropy(), torch.zeros(2, 3), torch.tensor([True, False]), "got shape .2,. of torch.bool"),
    "no classes": (CrossEntropy(), torch.zeros(2), torch.tensor([0, 1]), "for one output a sample pass loss='bce'"),
    "few weights": (CrossEntropy(weight=(1, 1)), torch.zeros(2, 3), torch.tensor([0, 1]), "each of the model's 3"),
    "negative labels": (CrossEntropy(), torch.zeros(2, 3), torch.full((2, 3), -0.1), "at least 0"),
    "other positions": (CrossEntropy(), torch.zeros(2, 3, 4), torch.zeros(2, 5).long(), r"\(N, 4\) or \(N, 3\)"),
}


@pytest.mark.parametrize("what", BAD)
def test_targets_that_do_not_fit_are_refused(what: str) -> None:
    loss, outputs, targets, message = BAD[what]
    with pytest.raises(AnalysisError, match=message):
        loss.fitted(outputs, targets)


def test_options_that_are_no_loss_are_refused() -> None:
    with pytest.raises(AnalysisError, match="label_smoothing must lie in"):
        CrossEntropy(label_smoothing=1.5)
    with pytest.raises(AnalysisError, match="class weights must be at least 0"):
        CrossEntropy(weight=(1.0, -1.0))
    with pytest.raises(AnalysisError, match="class_dim must be"):
        CrossEntropy(class_dim=2)


def test_accuracy_counts_positions_that_are_not_ignored() -> None:
    outputs = torch.tensor([[[3.0, 0.0], [0.0, 3.0], [3.0, 0.0]]])  # (1, 3, 2): one sample of three tokens
    targets = torch.tensor([[0, 0, -100]])
    loss = CrossEntropy(class_dim=-1)
    assert [part.item() for part in loss.hits(outputs, targets)] == [1, 2]
    assert loss.chance(outputs) == 0.5
    labels = torch.tensor([[[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]])
    assert [part.item() for part in loss.hits(outputs, labels)] == [2, 3]
