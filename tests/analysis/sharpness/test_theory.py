"""Statements of the paper's appendix that can be executed, on spectra and on small networks."""

import itertools
import math
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis.settings import PAPER_ORDERS, SharpnessSettings
from analysis.sharpness import measure
from analysis.sharpness.problem import pose
from analysis.spectrum.quadrature import renyi_entropy
from tests.analysis.sharpness.networks import perceptron, samples

spectra = st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=12).map(lambda values: np.array(values, dtype=np.float64))
orders = st.floats(0.05, 4).filter(lambda order: abs(order - 1) > 1e-3)


@given(spectra, orders)
def test_uniform_spectra_are_the_flattest(eigenvalues: NDArray[np.float64], order: float) -> None:
    # Corollary F.5.
    assert -renyi_entropy(eigenvalues, order) >= -math.log(eigenvalues.size) - 1e-9


@given(spectra, orders)
def test_the_sum_of_logarithms_is_below_the_sharpness(eigenvalues: NDArray[np.float64], order: float) -> None:
    # Equations 32 and 39: Σ log p_i ≤ −H_α.
    p = eigenvalues / eigenvalues.sum()
    assert np.log(p).sum() <= -renyi_entropy(eigenvalues, order) + 1e-9


@given(spectra)
def test_entropies_fall_with_the_order(eigenvalues: NDArray[np.float64]) -> None:
    entropies = [renyi_entropy(eigenvalues, order) for order in PAPER_ORDERS]
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(entropies))


def test_sharpness_rises_with_the_order_in_every_layer_of_a_network() -> None:
    rows = measure(perceptron(), *samples(), SharpnessSettings(estimator="exact", measures=("renyi",)))
    for layer in {row.layer for row in rows}:
        values = [cast(float, row.value) for row in rows if row.layer == layer]
        assert values == sorted(values)


def dense_hessian(seed: int) -> tuple[NDArray[np.float64], list[int]]:
    """The Gauss–Newton matrix (H ⪰ 0) of all weight layers of a small network, and the sizes of its blocks."""
    model, (inputs, targets) = perceptron((4, 4, 3), bias=False, seed=seed), samples(12, 4)
    problem = pose(model, inputs, targets)
    sizes = [tensor.numel() for tensor in problem.parameters.values()]
    w = torch.cat([tensor.flatten() for tensor in problem.parameters.values()])

    def outputs(flat: torch.Tensor) -> torch.Tensor:
        first, second = flat.split(sizes)
        logits: torch.Tensor = (inputs @ first.view(4, 4).T).relu() @ second.view(3, 4).T
        return logits

    J = torch.func.jacrev(outputs)(w)  # (N, C, n)
    p = outputs(w).softmax(1)
    curvature = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    H = torch.einsum("icn,icd,idm->nm", J, curvature, J) / len(inputs)
    return H.numpy(), sizes


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("order", [1.2, 1.5, 2.0, 3.0])
def test_off_diagonal_blocks_move_the_moment_by_no_more_than_the_bound(seed: int, order: float) -> None:
    # Proposition F.6: |R_α(H) − R_α(B)| ≤ α (Λ/T)^(α−1) √d ‖E‖_F / T, with B the diagonal blocks and E the rest.
    H, sizes = dense_hessian(seed)
    B = np.zeros_like(H)
    first = sizes[0]
    B[:first, :first], B[first:, first:] = H[:first, :first], H[first:, first:]
    T = np.trace(H)
    spectrum, block_spectrum = (np.clip(np.linalg.eigvalsh(matrix), 0, None) for matrix in (H, B))
    moved = abs(((spectrum / T) ** order).sum() - ((block_spectrum / T) ** order).sum())
    largest = max(spectrum.max(), block_spectrum.max())
    bound = order * (largest / T) ** (order - 1) * math.sqrt(len(H)) * np.linalg.norm(H - B) / T
    assert 0 < moved <= bound


def test_traces_and_entropies_of_the_quadratic() -> None:
    assert renyi_entropy([1.0, 4.0], 0.5) == pytest.approx(0.587787, abs=5e-7)
    assert renyi_entropy([1.0, 4.0], 1.5) == pytest.approx(0.433865, abs=5e-7)
