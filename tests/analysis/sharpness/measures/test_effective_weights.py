"""Spectral and Frobenius norms of the weights as the network applies them."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from analysis.errors import UndefinedMeasureError
from analysis.settings import SharpnessSettings
from analysis.sharpness.measures.effective_weights import (
    effective_weights,
    folded_network,
    frobenius_norms,
    log_product,
    spectral_norm,
    spectral_norms,
)
from analysis.sharpness.subject import Subject
from tests.analysis.sharpness.networks import perceptron, residual_network, samples


def subject_of(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> Subject:
    return Subject(model, inputs, targets, SharpnessSettings())


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (1, 5), (5, 2, 3, 3), (2, 5, 3, 3)])
def test_it_is_the_largest_singular_value_of_the_reshaped_weights(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    singular = np.linalg.svd(weight.double().numpy().reshape(shape[0], -1), compute_uv=False)
    assert spectral_norm(weight) == pytest.approx(singular[0], rel=1e-12)


def test_with_groups_it_is_that_of_the_block_diagonal_matrix() -> None:
    weight = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    blocks = torch.block_diag(*weight.reshape(3, 2, -1))
    assert spectral_norm(weight, groups=3) == pytest.approx(torch.linalg.matrix_norm(blocks, 2).item(), rel=1e-12)


def test_a_1x1_convolution_has_the_norm_of_the_map_that_it_is() -> None:
    convolution = nn.Conv2d(3, 5, 1, bias=False).double()
    inputs = torch.randn(1, 3, 4, 4, dtype=torch.float64)
    rows = [convolution(torch.eye(3, dtype=torch.float64)[k].view(1, 3, 1, 1)).flatten() for k in range(3)]
    norm = torch.linalg.matrix_norm(torch.stack(rows), 2).item()
    assert spectral_norm(convolution.weight) == pytest.approx(norm, rel=1e-12)
    assert convolution(inputs).norm() <= norm * inputs.norm()


def test_a_convolution_is_at_most_k_times_as_large_as_its_kernel() -> None:
    # The operator's norm, from the whole matrix of a 3×3 convolution of zero-padded 6×6 images.
    convolution = nn.Conv2d(2, 3, 3, padding=1, bias=False).double()
    basis = torch.eye(2 * 36, dtype=torch.float64).view(-1, 2, 6, 6)
    operator = torch.linalg.matrix_norm(convolution(basis).flatten(1), 2).item()
    assert spectral_norm(convolution.weight) < operator <= 3 * spectral_norm(convolution.weight)


def test_batch_norms_are_part_of_the_weights_so_a_scale_that_they_undo_does_not_count() -> None:
    model, inputs, targets = residual_network()
    norms = spectral_norms(subject_of(model, inputs, targets))
    with torch.no_grad():
        model.conv1.weight.mul_(3)
        model.norm1.running_mean.mul_(3)  # type: ignore[union-attr]
        model.norm1.running_var.mul_(9)  # type: ignore[union-attr]
    rescaled = spectral_norms(subject_of(model, inputs, targets))
    assert rescaled == pytest.approx(norms, rel=1e-4)  # up to the batch-norm's ε
    with torch.no_grad():
        model.norm1.weight.mul_(2)
    doubled = spectral_norms(subject_of(model, inputs, targets))
    assert doubled["conv1.weight"] == pytest.approx(2 * rescaled["conv1.weight"])


def test_folded_weights_are_those_of_an_equal_network() -> None:
    model, inputs, targets = residual_network()
    subject = subject_of(model, inputs, targets)
    torch.testing.assert_close(folded_network(subject)(inputs), model(inputs))
    scale = model.norm2.weight / (model.norm2.get_buffer("running_var") + model.norm2.eps).sqrt()
    expected = scale.view(-1, 1, 1, 1) * model.conv2.weight
    torch.testing.assert_close(effective_weights(subject)["conv2.weight"], expected.detach())
    assert frobenius_norms(subject)["conv2.weight"] == pytest.approx(expected.norm().item())


def test_a_batch_norm_before_the_layer_has_no_weights_to_be_part_of() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 3)).double().eval()
    with pytest.raises(UndefinedMeasureError, match="batch-norm '2' does not take the output of a single layer"):
        effective_weights(subject_of(model, *samples()))


@pytest.mark.parametrize("kind", ["weight norm", "pruning"])
def test_weights_that_are_computed_from_others_are_refused(kind: str) -> None:
    model = perceptron()
    first = model[0]
    assert isinstance(first, nn.Linear)
    if kind == "weight norm":
        parametrizations.weight_norm(first)
    else:
        prune.random_unstructured(first, "weight", 0.5)
    with pytest.raises(UndefinedMeasureError, match="'0' computes its weights from other parameters"):
        folded_network(subject_of(model, *samples()))


def test_the_logarithm_of_the_product_of_squares() -> None:
    assert log_product({"a": 2.0, "b": 3.0}) == pytest.approx(math.log(36))
    with pytest.raises(UndefinedMeasureError, match="weights of b are zero"):
        log_product({"a": 2.0, "b": 0.0})
