"""Sums over pairs against plain loops: every draw, every column, with ties and missing values."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analysis.errors import AnalysisError
from analysis.statistics.pairs import PairSums, Signs
from analysis.statistics.resampling import IntArray, bootstrap_multiplicities, permutations


def untidy(seed: int = 0, n: int = 12, num_columns: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Columns with ties and missing values, and a gap with ties and one missing value."""
    rng = np.random.default_rng(seed)
    columns = rng.integers(0, 6, size=(n, num_columns)).astype(float)
    columns[:, 0] = rng.normal(size=n)
    columns[rng.random(columns.shape) < 0.15] = math.nan
    gap = rng.integers(0, 8, size=n).astype(float)
    gap[1] = math.inf
    return columns, gap


def reference_tau(x: np.ndarray, y: np.ndarray, multiplicities: np.ndarray) -> float:
    """τ_b with multiplicities, pair by pair."""
    top = untied_x = untied_y = 0.0
    for i, j in itertools.combinations(range(len(x)), 2):
        if not np.isfinite([x[i], x[j], y[i], y[j]]).all():
            continue
        weight = multiplicities[i] * multiplicities[j]
        sx, sy = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
        top += weight * sx * sy
        untied_x += weight * abs(sx)
        untied_y += weight * abs(sy)
    return top / math.sqrt(untied_x * untied_y) if untied_x * untied_y else math.nan


def test_bootstrap_draws_equal_plain_loops() -> None:
    columns, gap = untidy()
    multiplicities = bootstrap_multiplicities(len(gap), draws=30)
    expected = [[reference_tau(column, gap, draw) for column in columns.T] for draw in multiplicities]
    np.testing.assert_allclose(PairSums(columns, gap).weighted_tau(multiplicities), expected, atol=1e-12)


def test_permutation_draws_equal_scipy_on_the_permuted_gap() -> None:
    columns, gap = untidy(n=15)
    columns, gap = np.delete(columns, 1, axis=0), np.delete(gap, 1)
    draws = permutations(len(gap), draws=30)
    expected = [
        [stats.kendalltau(column, gap[draw], nan_policy="omit").statistic for column in columns.T] for draw in draws
    ]
    np.testing.assert_allclose(PairSums(columns, gap).permuted_tau(draws), expected, atol=1e-12)


def test_tau_is_scipys_on_what_is_present() -> None:
    for seed in range(20):
        columns, gap = untidy(seed, n=25)
        expected = []
        for column in columns.T:
            kept = np.isfinite(column) & np.isfinite(gap)
            expected.append(stats.kendalltau(column[kept], gap[kept]).statistic)
        np.testing.assert_allclose(PairSums(columns, gap).weighted_tau(np.ones((1, 25)))[0], expected, atol=1e-12)


def test_blocks_of_pairs_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, gap = untidy(n=30)
    sums, multiplicities = PairSums(columns, gap), bootstrap_multiplicities(30, draws=8)
    shuffled = permutations(30, draws=8)
    whole = sums.weighted_tau(multiplicities), sums.permuted_tau(shuffled)
    signs, blocks = PairSums.signs, []

    def counted(self: PairSums, i: IntArray, j: IntArray) -> Signs:
        blocks.append(len(i))
        return signs(self, i, j)

    monkeypatch.setattr("analysis.statistics.pairs.CHUNK", 100)
    monkeypatch.setattr(PairSums, "signs", counted)
    np.testing.assert_array_equal(sums.weighted_tau(multiplicities), whole[0])
    np.testing.assert_array_equal(sums.permuted_tau(shuffled), whole[1])
    assert max(blocks) <= 100 // 6  # columns
    assert sum(blocks) == 2 * 30 * 29 // 2


def test_more_models_than_single_precision_counts_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, gap = untidy()
    single = PairSums(columns, gap).weighted_tau(np.ones((1, 12)))
    monkeypatch.setattr("analysis.statistics.pairs.EXACT_IN_SINGLE", 5)
    np.testing.assert_array_equal(PairSums(columns, gap).weighted_tau(np.ones((1, 12))), single)


def test_models_that_every_draw_counts_alike_enter_as_one() -> None:
    columns, gap = untidy(n=30)
    cells = np.arange(30) % 7
    multiplicities = bootstrap_multiplicities(30, draws=20, cells=cells)
    expected = [[reference_tau(column, gap, draw) for column in columns.T] for draw in multiplicities]
    np.testing.assert_allclose(PairSums(columns, gap).weighted_tau(multiplicities), expected, atol=1e-12)


def test_rows_must_agree() -> None:
    with pytest.raises(AnalysisError, match="got 3 and 2"):
        PairSums(np.zeros((3, 2)), np.zeros(2))
    with pytest.raises(AnalysisError, match="3 dimensions"):
        PairSums(np.zeros((3, 2, 1)), np.zeros(3))
