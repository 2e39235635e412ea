import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics import kendall_tau

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
    assert kendall_tau(x, y).tau_b == pytest.approx(expected, abs=1e-12, nan_ok=True)


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
    rho, n, repeats = 0.5, 40, 100
    truth = 2 / math.pi * math.asin(rho)
    covered = 0
    for _ in range(repeats):
        x, z = rng.normal(size=(2, n))
        tau = kendall_tau(x, rho * x + math.sqrt(1 - rho**2) * z)
        assert tau.ci_low <= tau.tau_b <= tau.ci_high
        covered += tau.ci_low <= truth <= tau.ci_high
    assert covered / repeats == pytest.approx(0.95, abs=0.06)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="got 2 and 3"):
        kendall_tau([1, 2], [1, 2, 3])
