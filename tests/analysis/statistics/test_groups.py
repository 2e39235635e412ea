"""τ within and between groups: the specification's values, pairs counted one by one, and the rates of the tests."""

import itertools
import math

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.statistics import Design, grouped_kendall, heterogeneity_test, permuted_within_taus, qualitative_test


def test_the_example_of_the_specification() -> None:
    result = grouped_kendall([1, 2, 3, 4, 5, 6], [4, 5, 6, 1, 2, 3], ["a"] * 3 + ["b"] * 3)
    assert (result.tau[0], result.within[0], result.between[0], result.across) == pytest.approx((-0.2, 1, -1, 0.6))
    assert result.contrast[0] == pytest.approx(-1.2)
    assert result.by_group[:, 0].tolist() == [1, 1]
    assert result.groups == ("a", "b")


def test_the_tests_have_the_values_of_the_specification() -> None:
    assert heterogeneity_test([0.6, 0.1], [0.04, 0.04], [15, 15]) == pytest.approx(0.0880, abs=5e-5)
    assert qualitative_test([2, -1.8]) == pytest.approx(0.03593, abs=5e-6)
    assert qualitative_test([2, 1, -2]) == pytest.approx(0.05658, abs=5e-6)
    assert math.isnan(qualitative_test([2, math.nan]))
    assert math.isnan(heterogeneity_test([0.6], [0.04], [15]))
    three = heterogeneity_test([0.6, 0.1, math.nan], [0.04, 0.04, 1.0], [15, 15, 15])
    assert three == pytest.approx(0.0880, abs=5e-5)


def test_pairs_are_counted_within_groups_and_across() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, size=(2, 18)).astype(float)
    x[3] = math.nan
    groups = np.arange(18) % 3
    sums = {True: np.zeros(3), False: np.zeros(3)}
    for i, j in itertools.combinations(range(18), 2):
        sx, sy = (0 if math.isnan(v[i] + v[j]) else np.sign(v[i] - v[j]) for v in (x, y))
        sy = sy if math.isfinite(x[i] + x[j]) else 0
        sums[bool(groups[i] == groups[j])] += [sx * sy, abs(sx), abs(sy)]
    result = grouped_kendall(x, y, groups)
    for found, (top, untied_x, untied_y) in ((result.within, sums[True]), (result.between, sums[False])):
        assert found[0] == pytest.approx(top / math.sqrt(untied_x * untied_y))


def test_without_ties_tau_is_the_mean_over_pairs() -> None:
    rng = np.random.default_rng(1)
    result = grouped_kendall(rng.normal(size=(20, 3)), rng.normal(size=20), rng.integers(0, 3, size=20))
    np.testing.assert_allclose(result.tau, (1 - result.across) * result.within + result.across * result.between)


def test_configurations_are_left_out_with_all_their_seeds() -> None:
    rng = np.random.default_rng(2)
    cells = np.repeat(np.arange(10), 2)
    x, y, groups = rng.normal(size=20), rng.normal(size=20), cells % 2
    result = grouped_kendall(x, y, groups, Design.of_cells(20, cells))
    assert result.left_out.shape == (10, 1)
    rest = cells != 3
    assert result.left_out[3, 0] == pytest.approx(grouped_kendall(x[rest], y[rest], groups[rest]).within[0])


def test_what_does_not_differ_is_rarely_said_to_differ() -> None:
    """Two groups of fifteen, shifted against each other, with one association or none."""
    rng = np.random.default_rng(3)
    groups = np.repeat([0, 1], 15)
    wrong = np.zeros((2, 2))
    for index, strength in enumerate((0.0, 0.6)):
        for _ in range(15):
            gap = rng.normal(size=30)
            columns = strength * gap[:, None] + math.sqrt(1 - strength**2) * rng.normal(size=(30, 20))
            result = grouped_kendall(columns + 4 * groups[:, None], gap - 2 * groups, groups)
            wrong[index] += [(p < 0.05).mean() / 15 for p in (result.heterogeneity_p, result.qualitative_p)]
    assert wrong.max() < 0.09


def test_opposed_groups_and_contrasts_are_found() -> None:
    rng = np.random.default_rng(4)
    groups = np.repeat([0, 1], 15)
    gap = rng.normal(size=30)
    follows = gap + 0.5 * rng.normal(size=30)
    columns = np.stack([np.where(groups == 0, follows, -follows), follows - 6 * groups], axis=1)
    opposed, shifted = (grouped_kendall(column, gap + 2 * groups, groups) for column in columns.T)
    assert max(opposed.qualitative_p[0], opposed.heterogeneity_p[0]) < 0.01
    assert shifted.qualitative_p[0] > 0.2
    assert shifted.contrast_high[0] < 0 < shifted.within_low[0]
    assert shifted.contrast_p[0] < 0.01
    assert shifted.tau[0] < 0


def test_small_groups_are_counted_but_not_tested() -> None:
    result = grouped_kendall(np.arange(8), np.arange(8), [0] * 5 + [1] * 3)
    assert result.by_group[:, 0].tolist() == [1, 1]
    assert math.isnan(result.heterogeneity_p[0])
    alone = grouped_kendall([1.0], [1.0], ["a"])
    assert math.isnan(alone.within[0])
    with pytest.raises(AnalysisError, match="'groups': 2"):
        grouped_kendall([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1, 2])


def test_the_null_of_tau_within_groups_reassigns_gaps_within_them() -> None:
    rng = np.random.default_rng(5)
    groups = np.arange(20) % 2
    x, y = rng.integers(0, 6, size=(20, 3)).astype(float), rng.integers(0, 6, size=20).astype(float)
    x[4, 1] = math.nan
    null = Design.of_cells(20).null(groups, draws=5)
    permuted = permuted_within_taus(x, y, groups, null)
    for row, gaps in zip(permuted, y[null.permutations], strict=True):
        np.testing.assert_allclose(row, grouped_kendall(x, gaps, groups).within)
