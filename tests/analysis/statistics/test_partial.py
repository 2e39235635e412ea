"""Partial τ of normal scores: the specification's values, an independent computation, and what must not change it."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, rankdata

from analysis.errors import AnalysisError
from analysis.statistics import Design, kendall_tau, partial_kendall, partial_tau


def test_without_a_third_quantity_it_is_the_correlation_of_normal_scores() -> None:
    result = partial_tau([1, 2, 3], [1, 3, 2])
    assert result.r[0] == pytest.approx(1 / 2)
    assert result.tau[0] == pytest.approx(1 / 3)


def test_six_models() -> None:
    result = partial_tau([2, 1, 4, 3, 6, 5], [1, 3, 2, 5, 4, 6], range(6))
    assert result.r[0] == pytest.approx(-0.883255, abs=1e-6)
    assert result.tau[0] == pytest.approx(-0.689306, abs=1e-6)
    assert (result.explained_x[0], result.explained_y[0]) == pytest.approx((0.333350, 0.792185), abs=1e-6)
    assert result.null.exact
    assert result.p_value[0] == pytest.approx(58 / 720)
    assert not result.estimable[0]
    assert math.isnan(result.p_adjusted[0])


def test_twelve_models() -> None:
    x, y = [2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11], [5, 9, 1, 12, 3, 8, 2, 11, 6, 10, 4, 7]
    result = partial_tau(x, y, range(12))
    assert (result.tau[0], result.ci_low[0], result.ci_high[0]) == pytest.approx(
        (-0.429798, -0.713353, 0.004870), abs=1e-6
    )
    assert result.p_t[0] == pytest.approx(0.053344, abs=1e-6)
    assert result.explained_x[0] == pytest.approx(max(0.771038, 0.571457), abs=3e-6)
    assert not result.estimable[0]


def confounded(seed: int, n: int = 30, columns: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z, groups = rng.normal(size=n), np.arange(n) % 2
    x = z[:, None] + 0.7 * rng.normal(size=(n, columns)) + groups[:, None]
    return x, x[:, 0] - z + 0.7 * rng.normal(size=n) - 3 * groups, z, groups


def test_it_equals_a_regression_in_each_group() -> None:
    x, y, z, groups = confounded(0)
    sums = np.zeros(3)
    for group in (0, 1):
        q = [norm.ppf((rankdata(values[groups == group]) - 0.5) / 15) for values in (x[:, 0], y, z)]
        k = (-1.28, 0.0, 1.28)
        cubes = [np.maximum(q[2] - knot, 0) ** 3 for knot in k]
        bent = cubes[0] - cubes[1] * (k[2] - k[0]) / (k[2] - k[1]) + cubes[2] * (k[1] - k[0]) / (k[2] - k[1])
        design = np.stack([np.ones(15), q[2], bent], axis=1)
        e = [scores - design @ np.linalg.lstsq(design, scores, rcond=None)[0] for scores in q[:2]]
        sums += [e[0] @ e[1], e[0] @ e[0], e[1] @ e[1]]
    result = partial_tau(x, y, z, groups)
    assert result.r[0] == pytest.approx(sums[0] / math.sqrt(sums[1] * sums[2]))
    half = 1.96 / math.sqrt(30 - 6 - 1 - 1)
    ends = (math.tanh(math.atanh(result.r[0]) + sign * half) for sign in (-1, 1))
    assert (result.ci_low[0], result.ci_high[0]) == pytest.approx(tuple(2 / math.pi * math.asin(end) for end in ends))


def test_an_association_that_runs_through_the_third_quantity_alone_goes_away() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=300)
    gap = -np.exp(z) + 0.9 * rng.normal(size=300)  # along a curve
    columns = np.stack([z + 0.5 * rng.normal(size=300), gap + 0.5 * rng.normal(size=300)], axis=1)
    result = partial_tau(columns, gap, z)
    assert kendall_tau(columns[:, 0], gap).tau_b < -0.3
    assert partial_kendall(columns, gap, z, draws=9).tau[0] < -0.04
    assert result.ci_low[0] < 0 < result.ci_high[0]
    assert result.p_adjusted[1] < 0.01 < result.p_value[0]


small = st.integers(min_value=-4, max_value=4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(small, small, small, st.integers(0, 1)), min_size=12, max_size=20))
def test_it_is_a_correlation_and_knows_ranks_within_groups_alone(rows: list[tuple[int, int, int, int]]) -> None:
    x, y, z, groups = np.array(rows, dtype=float).T
    one = partial_tau(x, y, z, groups)
    if math.isfinite(one.r[0]):
        assert -1 <= one.r[0] <= 1
        assert -1 <= one.ci_low[0] <= one.tau[0] <= one.ci_high[0] <= 1 or math.isnan(one.ci_low[0])
    moved = partial_tau(np.exp(x) + 100 * groups, y**3 - 50 * groups, z + 7 * groups, groups)
    np.testing.assert_allclose(moved.r, one.r, atol=1e-9)
    np.testing.assert_array_equal(moved.estimable, one.estimable)


def test_the_null_relabels_axes_and_leaves_the_groups_alone() -> None:
    codes = np.array(list(itertools.product(range(2), range(3), range(5))))
    design = Design.of({"optimizer": codes[:, 0], "rate": codes[:, 1], "decay": codes[:, 2]})
    rng = np.random.default_rng(2)
    x, y, z = rng.normal(size=(3, 30))
    free, within = partial_tau(x, y, z, design=design), partial_tau(x, y, z, codes[:, 0], design)
    assert (len(free.null.permutations), len(within.null.permutations)) == (1439, 719)
    without = partial_tau(x, y, np.where(codes[:, 0] == 1, z, math.nan), design=design)
    assert without.n[0] == 15
    assert without.null.exact


def test_several_seeds_make_a_jackknife_over_configurations() -> None:
    rng = np.random.default_rng(3)
    cells = np.repeat(np.arange(12), 3)
    x, y, z = (rng.normal(size=12)[cells] + 0.2 * rng.normal(size=36) for _ in range(3))
    seeds, alone = partial_tau(x, y, z, design=Design.of_cells(36, cells)), partial_tau(x, y, z)
    assert seeds.tau[0] == alone.tau[0]
    assert seeds.ci_high[0] - seeds.ci_low[0] > 1.2 * (alone.ci_high[0] - alone.ci_low[0])
    assert seeds.effective[0] < alone.effective[0]


def test_columns_with_missing_values_are_what_they_are_alone() -> None:
    x, y, z, groups = confounded(4)
    x[3, 1] = x[4, 2] = z[7] = math.nan
    together = partial_tau(x, y, z, groups)
    assert together.n.tolist() == [29, 28, 28]
    for column in range(3):
        present = np.isfinite(x[:, column]) & np.isfinite(z)
        alone = partial_tau(x[present, column], y[present], z[present], groups[present])
        for name in ("r", "ci_low", "ci_high", "p_t", "explained_x", "explained_y", "effective", "estimable"):
            assert getattr(together, name)[column] == pytest.approx(getattr(alone, name)[0]), name
        assert together.p_value[column] == pytest.approx(alone.p_value[0], abs=0.04)


def test_a_true_null_is_rejected_at_the_level_and_an_association_is_found() -> None:
    """One column is tied to the gap through the third quantity, another beyond it."""
    rejected = np.zeros(2)
    for seed in range(12):
        x, y, z, groups = confounded(seed)
        gap = -z + 0.7 * np.random.default_rng(seed + 100).normal(size=30) + groups
        rejected += [
            (partial_tau(x, gap, z, groups).p_value < 0.05).sum(),
            partial_tau(x, y, z, groups).p_value[0] < 0.05,
        ]
    assert rejected[0] <= 4
    assert rejected[1] >= 8


def test_small_groups_and_several_third_quantities() -> None:
    x, y, z, _ = confounded(5)
    result = partial_tau(x, y, np.stack([z, z**2], axis=1), np.repeat([0, 1, 2], [5, 10, 15]))
    assert result.dropped.tolist() == [5] * 3
    assert result.n.tolist() == [25] * 3
    assert result.effective.max() <= 25 - (1 + 2) - (1 + 4)  # a line, and a curve of two terms, of each
    nothing = partial_tau(x[:4], y[:4], z[:4])
    assert np.isnan(nothing.r).all()
    assert nothing.dropped.tolist() == [4] * 3
    constant = partial_tau(np.ones(12), np.arange(12), z[:12])
    assert math.isnan(constant.tau[0])
    assert not constant.estimable[0]


def test_lengths_must_agree() -> None:
    with pytest.raises(AnalysisError, match="'third': 2"):
        partial_tau([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0])
