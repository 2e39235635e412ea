import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.errors import AnalysisError
from analysis.statistics import kendall_tau, kendall_taus

values = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=40)


def test_ties_count_in_tau_a_and_leave_the_denominators_of_tau_b() -> None:
    tau = kendall_tau([1, 2, 2, 3], [1, 2, 3, 4])
    assert tau.tau_a == pytest.approx(0.833333, abs=1e-6)
    assert tau.tau_b == pytest.approx(0.912871, abs=1e-6)
    assert (tau.n, tau.ties, tau.missing) == (4, 1, 0)


@given(values)
def test_tau_b_is_scipys(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, dtype=float).T
    expected = stats.kendalltau(x, y).statistic
    assert kendall_taus(x, y, draws=1).tau_b[0] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_missing_values_are_dropped_and_counted() -> None:
    x, y = [1.0, math.nan, 3.0, 2.0, 5.0], [1.0, 2.0, 3.0, math.inf, 4.0]
    tau = kendall_tau(x, y)
    assert (tau.tau_b, tau.n, tau.missing) == (1.0, 3, 2)


def test_a_constant_measure_has_no_tau() -> None:
    tau = kendall_tau(np.ones(10), np.arange(10))
    assert math.isnan(tau.tau_b)
    assert math.isnan(tau.ci_low)
    assert tau.tau_a == 0


def test_too_few_models_have_no_interval() -> None:
    assert math.isnan(kendall_tau([1, 2, 3], [1, 2, 3]).ci_low)
    assert math.isnan(kendall_tau([], []).tau_b)


def test_the_interval_holds_the_estimate_and_covers_the_truth() -> None:
    """For a bivariate normal of correlation ρ, τ = 2/π asin ρ."""
    rng = np.random.default_rng(0)
    rho, n, repeats = 0.5, 40, 200
    truth = 2 / math.pi * math.asin(rho)
    covered = 0
    for _ in range(repeats):
        x, z = rng.normal(size=(2, n))
        tau = kendall_taus(x, rho * x + math.sqrt(1 - rho**2) * z, draws=200)
        assert tau.ci_low[0] <= tau.tau_b[0] <= tau.ci_high[0]
        covered += int(tau.ci_low[0] <= truth <= tau.ci_high[0])
    assert covered / repeats == pytest.approx(0.95, abs=0.06)


def test_lengths_must_agree() -> None:
    with pytest.raises(AnalysisError, match="got 2 and 3"):
        kendall_tau([1, 2], [1, 2, 3])


def test_the_standard_error_is_that_of_the_null_distribution() -> None:
    """Without association var τ = 2(2N+5)/(9N(N−1)): 0.1289² at N = 30."""
    rng = np.random.default_rng(0)
    tau = kendall_taus(rng.normal(size=(30, 300)), rng.normal(size=30), draws=10)
    assert math.sqrt(2 * 65 / (9 * 30 * 29)) == pytest.approx(0.1289, abs=5e-5)
    assert np.std(tau.tau_b) == pytest.approx(0.1289, rel=0.15)
    assert np.sqrt((tau.stderr**2).mean()) == pytest.approx(0.1289, rel=0.15)


def test_many_columns_are_each_what_one_alone_is() -> None:
    rng = np.random.default_rng(1)
    columns = rng.integers(0, 9, size=(20, 5)).astype(float)
    columns[3, 2] = math.nan
    columns[:, 4] = 1.0
    gap = rng.normal(size=20)
    together = kendall_taus(columns, gap)
    for index, column in enumerate(columns.T):
        alone = kendall_tau(column, gap)
        for name, value in vars(alone).items():
            assert getattr(together, name)[index] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_ties_are_pairs_tied_in_either() -> None:
    tau = kendall_tau([1, 1, 2, 3, math.nan], [4, 5, 6, 6, 4])
    assert (tau.ties, tau.n, tau.missing) == (2, 4, 1)


def test_repeats_of_a_configuration_widen_the_interval() -> None:
    """Five copies of six models are six models, not thirty."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=6)
    y = x + rng.normal(size=6)
    cells = np.repeat(np.arange(6), 5)
    x, y = (np.repeat(values, 5) + 1e-3 * rng.normal(size=30) for values in (x, y))
    alone, together = kendall_tau(x, y), kendall_tau(x, y, cells=cells)
    assert together.ci_high - together.ci_low > 1.5 * (alone.ci_high - alone.ci_low)
    assert together.stderr > 1.5 * alone.stderr
