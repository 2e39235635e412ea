import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from analysis.errors import AnalysisError
from analysis.statistics import kendall_tau
from analysis.statistics.many_models import concordance, kendall_of_many

VALUES = st.integers(-3, 3).map(float) | st.just(math.nan)
MODELS = st.lists(st.tuples(VALUES, VALUES, st.integers(0, 6)), min_size=2, max_size=25)


@given(MODELS)
def test_everything_but_the_interval_is_that_of_the_sums_over_pairs(models: list[tuple[float, float, int]]) -> None:
    x, y, cells = (np.array(column) for column in zip(*models, strict=True))
    present = np.isfinite(x) & np.isfinite(y)
    many, pairs = kendall_of_many(x, y, cells), kendall_tau(x[present], y[present], cells=cells[present])
    assert (many.n, many.ties, many.missing) == (pairs.n, pairs.ties, int((~present).sum()))
    assert many.tau_b == pytest.approx(pairs.tau_b, nan_ok=True)
    assert many.tau_a == pytest.approx(pairs.tau_a, nan_ok=True)
    if len(set(cells[present])) >= 5 and pairs.n >= 5:
        assert many.stderr == pytest.approx(pairs.stderr, nan_ok=True)


@given(MODELS)
def test_the_sums_of_single_models_are_those_of_the_definition(models: list[tuple[float, float, int]]) -> None:
    a, b, groups = (np.nan_to_num(np.array(column)).astype(np.intp) + 3 for column in zip(*models, strict=True))
    signs = [np.sign(values[:, None] - values) for values in (a, b)]
    expected = (signs[0] * signs[1] * (groups[:, None] == groups)).sum(axis=1)
    np.testing.assert_array_equal(concordance(a, b, groups), expected)


def test_scipy_agrees_on_many_models_with_ties() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=20_000)
    y = (x + 3 * rng.normal(size=20_000)).round(1)
    found = kendall_of_many(x, y)
    assert found.tau_b == pytest.approx(kendalltau(x, y).statistic, abs=1e-12)
    assert found.ci_low < found.tau_b < found.ci_high


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    # of bivariate normal values, τ = (2/π) asin ρ; cells of 5 that share a shift of both
    rng, covered = np.random.default_rng(1), 0
    truth = 2 / math.pi * math.asin(0.5)
    cells = np.repeat(np.arange(60), 5)
    for _ in range(400):
        shared, own = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=(2, 300))
        both = shared[cells] / math.sqrt(2) + own / math.sqrt(2)
        found = kendall_of_many(both[:, 0], both[:, 1], cells)
        covered += found.ci_low <= truth <= found.ci_high
    assert 0.92 <= covered / 400 <= 0.98


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(AnalysisError, match="same length"):
        kendall_of_many([1, 2], [1, 2, 3])
