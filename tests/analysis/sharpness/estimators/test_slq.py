import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.errors import UndefinedMeasureError
from analysis.sharpness.estimators.slq import Effort, draw_probes, exact_quadrature, paired_quadrature, paper_quadrature
from analysis.spectrum.quadrature import renyi_entropy
from analysis.spectrum.rules import Ending, Role
from tests.analysis.closed_forms import ORDERS, SPECTRA, second_difference
from tests.analysis.sharpness.dense_operator import DenseOperator, zero_dominant


def test_a_probe_depends_on_nothing_but_its_number_and_the_seed() -> None:
    operator = DenseOperator(np.eye(20))
    together = draw_probes(operator, range(4), seed=3)
    assert torch.equal(together[2:3], draw_probes(operator, [2], seed=3))
    assert set(together.flatten().tolist()) == {-1.0, 1.0}
    assert not torch.equal(together, draw_probes(operator, range(4), seed=4))
    single = draw_probes(DenseOperator(np.eye(20), torch.float32), range(4), 3, "gaussian")
    assert torch.equal(single.double(), draw_probes(operator, range(4), 3, "gaussian"))


@pytest.mark.parametrize("name", SPECTRA)
def test_the_exact_estimator_has_the_closed_forms(name: str) -> None:
    eigenvalues, entropies = SPECTRA[name]
    operator = DenseOperator.of_eigenvalues(eigenvalues)
    quadrature = exact_quadrature(operator)
    # Round-off hides the geometric spectrum's eigenvalues below 1e-14.
    tolerance = 1e-6 if name == "geometric" else 1e-9
    for order, entropy in zip(ORDERS, entropies, strict=True):
        assert quadrature.renyi_entropy(order).value == pytest.approx(entropy, abs=tolerance)
    assert quadrature.num_products == operator.num_products == operator.dim


def test_a_spectrum_of_more_rows_than_are_multiplied_at_once() -> None:
    quadrature = exact_quadrature(DenseOperator(np.diag(np.arange(1.0, 601.0))))
    np.testing.assert_allclose(quadrature.nodes[0], np.arange(1.0, 601.0))


@pytest.mark.parametrize("order", ORDERS)
def test_rademacher_probes_are_exact_on_a_diagonal_matrix(order: float) -> None:
    eigenvalues, entropies = SPECTRA["outliers over a floor"]
    quadrature = paired_quadrature(DenseOperator(np.diag(eigenvalues)), Effort(num_probes=3, num_matvecs=2), seed=0)
    estimate = quadrature.renyi_entropy(order)
    assert estimate.value == pytest.approx(entropies[ORDERS.index(order)], abs=1e-8)
    assert estimate.stderr == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("name", ["identity", "arithmetic", "outliers over a floor"])
def test_as_many_steps_as_distinct_eigenvalues_leave_no_truncation(name: str) -> None:
    eigenvalues, entropies = SPECTRA[name]
    steps = np.unique(eigenvalues).size
    quadrature = paired_quadrature(DenseOperator(np.diag(eigenvalues)), Effort(num_probes=2, num_matvecs=steps), seed=1)
    for order, entropy in zip(ORDERS, entropies, strict=True):
        assert quadrature.renyi_entropy(order).value == pytest.approx(entropy, abs=1e-8)
        assert quadrature.truncation(order) == pytest.approx(0, abs=1e-8)


def test_the_trace_s_spread_is_hutchinson_s() -> None:
    matrix = second_difference(50)
    traces = [
        paired_quadrature(DenseOperator(matrix), Effort(num_probes=2, num_matvecs=1), seed).trace().value
        for seed in range(1000)
    ]
    variance = 2 * ((matrix**2).sum() - (np.diag(matrix) ** 2).sum()) / 2
    assert np.mean(traces) == pytest.approx(100, abs=4 * math.sqrt(variance / 1000))
    assert np.var(traces) == pytest.approx(variance, rel=0.15)


def test_the_spread_on_the_sphere_is_that_of_theory() -> None:
    matrix = second_difference(50)
    quadrature = paper_quadrature(DenseOperator(matrix), Effort(num_probes=4000, num_matvecs=1), 0)
    variance = 2 * 50 / 52 * ((matrix**2).sum() - np.trace(matrix) ** 2 / 50)
    assert quadrature.trace().stderr * math.sqrt(4000) == pytest.approx(math.sqrt(variance), rel=0.05)


def test_paired_adds_probes_until_the_tolerance_is_met_and_says_how_it_ended() -> None:
    operator = DenseOperator.of_eigenvalues(zero_dominant(300))
    effort = Effort(orders=(1.5,), tolerance=0.1)
    quadrature = paired_quadrature(operator, effort, seed=0)
    assert quadrature.ending is Ending.TOLERANCE
    assert quadrature.renyi_entropy(1.5).stderr <= 0.1
    assert quadrature.num_probes >= 8
    assert quadrature.num_products == operator.num_products == 15 * quadrature.num_probes
    cut = paired_quadrature(operator, replace(effort, tolerance=0.001, max_products=200), seed=0)
    assert cut.ending is Ending.PRODUCTS
    assert cut.num_products <= 200
    short = paired_quadrature(operator, replace(effort, orders=(0.5,), num_matvecs=6), seed=0)
    assert short.ending is Ending.STEPS
    assert paired_quadrature(operator, Effort(num_probes=4, num_matvecs=5), 0).ending is Ending.FIXED


def test_more_steps_where_a_low_order_is_asked_for() -> None:
    operator = DenseOperator.of_eigenvalues(zero_dominant(300))
    assert paired_quadrature(operator, Effort(orders=(0.5,), num_probes=2), 0).nodes.shape == (2, 50)
    assert paired_quadrature(operator, Effort(orders=(0.9,), num_probes=2), 0).nodes.shape == (2, 15)


def test_memory_sets_how_many_probes_run_at_a_time_and_nothing_else() -> None:
    operator = DenseOperator.of_eigenvalues(zero_dominant(100))
    effort = Effort(num_probes=6, num_matvecs=10)
    together = paired_quadrature(operator, effort, seed=0)
    apart = paired_quadrature(operator, replace(effort, memory_limit=1), seed=0)
    np.testing.assert_allclose(apart.nodes, together.nodes, atol=1e-12)


def algorithm_1(
    matrix: np.ndarray,
    v: np.ndarray,
    g: np.ndarray,
    order: float,
    num_matvecs: int,
) -> float:
    """The paper's Algorithm 1, line by line: v, g (l, n) raw Gaussian vectors."""
    powers = []
    for probe in v:
        q, previous, beta = probe / np.linalg.norm(probe), np.zeros(len(probe)), 0.0
        T = np.zeros((num_matvecs, num_matvecs))
        for i in range(num_matvecs):
            w = matrix @ q - beta * previous
            T[i, i] = w @ q
            w = w - T[i, i] * q
            beta, previous = float(np.linalg.norm(w)), q
            if beta == 0:
                break
            if i + 1 < num_matvecs:
                T[i, i + 1] = T[i + 1, i] = beta
            q = w / beta
        values, vectors = np.linalg.eigh(T)
        powers.append((vectors[0] ** 2 * np.abs(values) ** order).sum())
    unit = g / np.linalg.norm(g, axis=1, keepdims=True)
    trace = np.einsum("ki,ij,kj->k", unit, matrix, unit).mean()
    return float(np.log(np.mean(powers) / trace**order) / (1 - order))


@pytest.mark.parametrize("order", [0.3, 0.5, 0.9, 0.999, 1.001, 1.5, 3.0])
def test_paper_is_algorithm_1_to_the_digit(order: float) -> None:
    # No Ritz value converges in 15 steps here: where one does, round-off steers what is not reorthogonalized.
    operator = DenseOperator.of_eigenvalues(np.linspace(0.01, 1, 120))
    probes = draw_probes(operator, range(200), 7, "gaussian").numpy()
    printed = algorithm_1(operator.matrix.numpy(), probes[:100], probes[100:], order, 15)
    quadrature = paper_quadrature(operator, Effort(), seed=7)
    assert quadrature.renyi_entropy(order).value - math.log(120) == pytest.approx(printed, abs=1e-9)
    assert quadrature.num_products == operator.num_products == 1600
    assert quadrature.companion is not None
    assert quadrature.companion.role is Role.TRACE


def test_paper_is_reproduced_by_its_seed_and_not_by_another() -> None:
    operator = DenseOperator.of_eigenvalues(zero_dominant(120))
    values = [paper_quadrature(operator, Effort(), seed).renyi_entropy(0.5).value for seed in (7, 7, 8)]
    assert values[0] == values[1] != values[2]


def test_paper_keeps_its_bias_below_order_one_and_its_blow_up_near_it() -> None:
    eigenvalues = zero_dominant(400)
    operator = DenseOperator.of_eigenvalues(eigenvalues)
    quadratures = [paper_quadrature(operator, Effort(num_matvecs=8), seed) for seed in range(5)]

    def errors(order: float) -> np.ndarray:
        exact = renyi_entropy(eigenvalues, order)
        return np.array([quadrature.renyi_entropy(order).value for quadrature in quadratures]) - exact

    assert errors(0.3).mean() > 0.1
    assert errors(0.3).mean() > 5 * errors(0.3).std()
    blow_up = [np.sqrt((errors(order) ** 2).mean()) for order in (0.9, 0.99, 0.999)]
    assert blow_up[1] / blow_up[0] == pytest.approx(10, rel=0.3)
    assert blow_up[2] / blow_up[1] == pytest.approx(10, rel=0.1)
    paired = [paired_quadrature(operator, Effort(num_probes=100, num_matvecs=15), seed) for seed in range(2)]
    for quadrature in paired:
        assert quadrature.renyi_entropy(0.999).value == pytest.approx(renyi_entropy(eigenvalues, 0.999), abs=0.15)


def test_what_is_not_finite_or_zero_says_so() -> None:
    broken = np.eye(5)
    broken[1, 1] = math.inf
    for estimate in (paired_quadrature, paper_quadrature):
        with pytest.raises(UndefinedMeasureError, match="NaN or infinite"):
            estimate(DenseOperator(broken), Effort(num_probes=2, num_matvecs=2), 0)
    with pytest.raises(UndefinedMeasureError, match="NaN or infinite"):
        exact_quadrature(DenseOperator(broken))
    zero = paired_quadrature(DenseOperator(np.zeros((5, 5))), Effort(num_probes=2, num_matvecs=2), 0)
    with pytest.raises(UndefinedMeasureError, match="Hessian is zero"):
        zero.renyi_entropy(0.5)
