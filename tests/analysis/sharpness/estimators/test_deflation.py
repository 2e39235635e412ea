import math

import numpy as np
import pytest
import torch

from analysis.sharpness.estimators.deflation import ritz_quadrature
from analysis.sharpness.estimators.slq import Effort, paired_quadrature
from analysis.spectrum.quadrature import SpectralQuadrature, renyi_entropy
from analysis.spectrum.rules import Ending, Role
from tests.analysis.closed_forms import ORDERS, SPECTRA, second_difference
from tests.analysis.sharpness.dense_operator import DenseOperator, zero_dominant

SMALL = Effort(num_probes=5, num_matvecs=20)


def rmse(quadratures: list[SpectralQuadrature], exact: float, order: float) -> float:
    errors = [quadrature.renyi_entropy(order).value - exact for quadrature in quadratures]
    return float(np.sqrt(np.mean(np.square(errors))))


def test_as_many_steps_as_dimensions_know_the_whole_spectrum() -> None:
    entropies = SPECTRA["second difference"][1]
    quadrature = ritz_quadrature(DenseOperator(second_difference(100)), SMALL, seed=0, deflation_matvecs=100)
    assert quadrature.ending is Ending.EXACT
    for order, entropy in zip(ORDERS, entropies, strict=True):
        assert quadrature.renyi_entropy(order).value == pytest.approx(entropy, abs=1e-8)


@pytest.mark.parametrize("name", ["equal and zero", "rank one", "geometric"])
def test_a_rank_below_the_steps_leaves_no_error(name: str) -> None:
    eigenvalues, entropies = SPECTRA[name]
    padded = np.concatenate([eigenvalues, np.zeros(60)])
    quadrature = ritz_quadrature(DenseOperator.of_eigenvalues(padded), SMALL, seed=0, deflation_matvecs=70)
    for order, entropy in zip(ORDERS, entropies, strict=True):
        estimate = quadrature.renyi_entropy(order)
        if name == "equal and zero":
            # One copy of the eigenvalue is found; how many more there are is up to the probes.
            assert estimate.value == pytest.approx(entropy, abs=4 * estimate.stderr + 1e-8)
        else:
            assert estimate.value == pytest.approx(entropy, abs=1e-5)


def test_products_and_weights_are_accounted_for() -> None:
    operator = DenseOperator.of_eigenvalues(zero_dominant(300))
    quadrature = ritz_quadrature(operator, SMALL, seed=0, deflation_matvecs=50)
    assert quadrature.num_products == operator.num_products == 50 + 5 * 20
    num_known = quadrature.nodes.shape[1] - 20
    assert 10 < num_known < 50
    np.testing.assert_array_equal(quadrature.nodes[:, :num_known], np.tile(quadrature.nodes[0, :num_known], (5, 1)))
    np.testing.assert_allclose(quadrature.weights[:, :num_known], 1 / 300)
    assert quadrature.companion is not None
    assert quadrature.companion.role is Role.RADAU


def test_it_beats_plain_quadrature_at_a_tenth_of_its_products() -> None:
    eigenvalues = np.arange(1.0, 401.0) ** -2.0
    operator = DenseOperator.of_eigenvalues(eigenvalues)
    ritz = [ritz_quadrature(operator, Effort(num_probes=3, num_matvecs=25), seed, 75) for seed in range(6)]
    paired = [paired_quadrature(operator, Effort(num_probes=100, num_matvecs=15), seed) for seed in range(6)]
    for order in (0.5, 0.9, 1.5, 3.0):
        exact = renyi_entropy(eigenvalues, order)
        assert rmse(ritz, exact, order) < rmse(paired, exact, order) / 2


@pytest.mark.parametrize("order", [0.5, 1.0, 1.5])
def test_intervals_cover_the_truth(order: float) -> None:
    eigenvalues = zero_dominant(200)
    operator = DenseOperator.of_eigenvalues(eigenvalues)
    exact = renyi_entropy(eigenvalues, order)
    covered = 0
    for seed in range(40):
        estimate = ritz_quadrature(operator, Effort(num_probes=6, num_matvecs=10), seed, 25).renyi_entropy(order)
        covered += estimate.ci_low <= exact <= estimate.ci_high
    assert covered >= 35


def test_it_grows_until_the_tolerance_and_no_further() -> None:
    eigenvalues = zero_dominant(600)
    operator = DenseOperator.of_eigenvalues(eigenvalues)
    spent = []
    for tolerance in (0.1, 0.02, 0.005):
        quadrature = ritz_quadrature(operator, Effort(tolerance=tolerance), seed=0)
        assert quadrature.ending is Ending.TOLERANCE
        for order in (0.5, 1.5):
            estimate = quadrature.renyi_entropy(order)
            assert estimate.stderr <= tolerance
            assert quadrature.truncation(order) <= tolerance
            assert estimate.value == pytest.approx(renyi_entropy(eigenvalues, order), abs=4 * tolerance)
        spent.append(quadrature.num_products)
    assert spent == sorted(spent)
    assert spent[0] <= 200
    assert spent[-1] <= 600


def test_limits_end_it() -> None:
    operator = DenseOperator.of_eigenvalues(np.arange(1.0, 501.0) ** -1.5)
    by_products = ritz_quadrature(operator, Effort(tolerance=1e-4, max_products=400), seed=0)
    assert by_products.ending is Ending.PRODUCTS
    assert by_products.num_products <= 400
    slow = DenseOperator.of_eigenvalues(np.geomspace(1e-12, 1, 500))
    vector = 500 * 8
    by_memory = ritz_quadrature(slow, Effort((0.3,), 0.05, max_products=2000, memory_limit=200 * vector), seed=0)
    assert by_memory.renyi_entropy(0.3).stderr <= 0.05 < by_memory.truncation(0.3)
    assert by_memory.ending is Ending.MEMORY


def test_an_indefinite_matrix_does_not_swing_with_the_parity_of_the_steps() -> None:
    rng = np.random.default_rng(0)
    half = np.geomspace(1e-4, 1, 200)
    eigenvalues = np.concatenate([half, -0.5 * half, np.zeros(100)])
    operator = DenseOperator.of_eigenvalues(rng.permutation(eigenvalues))
    exact = renyi_entropy(eigenvalues, 0.5)
    for steps in (24, 25):
        quadrature = ritz_quadrature(operator, Effort(num_probes=10, num_matvecs=steps), 0, 75)
        assert quadrature.indefinite
        assert quadrature.renyi_entropy(0.5).value == pytest.approx(exact, abs=0.1)
        low, high = quadrature.renyi_entropy(0.5).ci_low, quadrature.renyi_entropy(0.5).ci_high
        assert low <= exact <= high


def test_float32_agrees_with_float64_within_the_standard_error() -> None:
    eigenvalues = zero_dominant(400)
    values = [
        ritz_quadrature(DenseOperator.of_eigenvalues(eigenvalues, dtype), SMALL, 0, 60).renyi_entropy(0.5).value
        for dtype in (torch.float32, torch.float64)
    ]
    assert values[0] == pytest.approx(values[1], abs=0.02)


def test_a_zero_matrix_is_a_quadrature_without_entropy() -> None:
    quadrature = ritz_quadrature(DenseOperator(np.zeros((500, 500))), Effort(num_probes=2, num_matvecs=5), seed=0)
    assert quadrature.trace().value == 0
    assert quadrature.lambda_max() == 0


def test_the_min_entropy_and_shannon_come_from_the_same_products() -> None:
    eigenvalues = zero_dominant(400)
    quadrature = ritz_quadrature(DenseOperator.of_eigenvalues(eigenvalues), Effort(), seed=0)
    for order in (1.0, math.inf):
        assert quadrature.renyi_entropy(order).value == pytest.approx(renyi_entropy(eigenvalues, order), abs=0.02)
    assert quadrature.lambda_max() == pytest.approx(eigenvalues.max(), rel=1e-6)
