import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from analysis.errors import AnalysisError
from analysis.statistics import partial_kendall, stratified_kendall


def test_the_partial_tau_is_kendalls_formula() -> None:
    rng = np.random.default_rng(0)
    x, y, z = rng.integers(0, 9, size=(3, 25)).astype(float)
    xy, xz, yz = (kendalltau(*pair).statistic for pair in ((x, y), (x, z), (y, z)))
    result = partial_kendall(x, y, z)
    assert result.tau[0] == pytest.approx((xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2)), abs=1e-12)
    assert result.with_third[0] == pytest.approx(xz, abs=1e-12)
    assert result.ci_low[0] <= result.tau[0] <= result.ci_high[0]


def test_an_association_that_runs_through_training_alone_leaves_a_residue() -> None:
    rng = np.random.default_rng(1)
    training_loss = rng.normal(size=300)
    gap = -training_loss + 0.5 * rng.normal(size=300)
    confounded = training_loss + 0.5 * rng.normal(size=300)
    real = gap + 0.5 * rng.normal(size=300)
    columns = np.stack([confounded, real], axis=1)
    result = partial_kendall(columns, gap, training_loss, draws=300)
    assert kendalltau(confounded, gap).statistic < -0.5
    assert result.tau[0] == pytest.approx(-0.18, abs=0.01)  # the residue of Kendall's formula
    assert result.ci_high[0] < 0 < 0.2 < result.ci_low[1]
    strata = stratified_kendall(columns, gap, training_loss, num_strata=10)
    assert abs(strata.tau[0]) < 0.25
    assert strata.tau[1] > 0.4


def test_strata_are_groups_of_equal_size_and_pool_their_pairs() -> None:
    rng = np.random.default_rng(2)
    x, y, z = rng.integers(0, 6, size=(3, 30)) + 0.0
    z += 0.01 * rng.normal(size=30)
    result = stratified_kendall(x, y, z)
    assert [int((result.strata == stratum).sum()) for stratum in range(3)] == [10, 10, 10]
    top = untied_x = untied_y = 0.0
    for stratum in range(3):
        chosen = result.strata == stratum
        a, b = x[chosen], y[chosen]
        assert result.by_stratum[stratum, 0] == pytest.approx(kendalltau(a, b).statistic, abs=1e-12)
        sx, sy = np.sign(a[:, None] - a), np.sign(b[:, None] - b)
        top, untied_x, untied_y = top + (sx * sy).sum(), untied_x + abs(sx).sum(), untied_y + abs(sy).sum()
    assert result.tau[0] == pytest.approx(top / math.sqrt(untied_x * untied_y), abs=1e-12)


def test_nothing_is_left_where_the_third_quantity_is_the_gap() -> None:
    gap = np.arange(10.0)
    assert math.isnan(partial_kendall(gap**2, gap, gap).tau[0])


def test_models_without_the_third_quantity_are_left_out() -> None:
    rng = np.random.default_rng(3)
    x, y, z = rng.normal(size=(3, 12))
    z[0] = math.nan
    assert partial_kendall(x, y, z).tau[0] == pytest.approx(partial_kendall(x[1:], y[1:], z[1:]).tau[0])
    assert math.isnan(stratified_kendall(x, y, z).strata[0])
    assert math.isnan(stratified_kendall(x, y, np.full(12, math.nan)).tau[0])


def test_lengths_must_agree() -> None:
    for function in (partial_kendall, stratified_kendall):
        with pytest.raises(AnalysisError, match="got 3 and 2"):
            function([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0])
