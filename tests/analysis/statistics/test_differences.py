import itertools
import math

import numpy as np
import pytest
from scipy.stats import kstest, rankdata

from analysis.errors import AnalysisError
from analysis.statistics import holm, swap_test, tau_difference, tau_differences

X, Y, G = (3, 1, 4, 1.5, 5, 9), (2, 7, 1, 8, 2.8, 1.8), (1, 2, 3, 2.5, 4, 5)


def concordance(ranks: np.ndarray, roots: np.ndarray, g: np.ndarray) -> float:
    """The concordance sum of a column whose entry i came from a column with roots[i]² untied pairs."""
    pairs = itertools.combinations(range(len(g)), 2)
    signs = ((np.sign((ranks[i] - ranks[j]) * (g[i] - g[j])), math.sqrt(roots[i] * roots[j])) for i, j in pairs)
    return float(sum(sign / scale for sign, scale in signs))


def test_the_example_of_the_specification() -> None:
    result = tau_difference(X, Y, G)
    assert result.tau_x == pytest.approx(0.733333, abs=1e-6)
    assert result.tau_y == pytest.approx(-0.2)
    assert result.difference == pytest.approx(0.933333, abs=1e-6)
    assert result.stderr == pytest.approx(0.557773, abs=1e-6)


def test_the_swaps_equal_swapping_ranks_one_by_one() -> None:
    """The statistic is linear in the swaps; here every swap is carried out and τ taken again."""
    rng = np.random.default_rng(0)
    x, y, g = rng.integers(0, 5, size=(3, 8)).astype(float)
    ranks = np.stack([rankdata(x), rankdata(y)])
    untied = [sum(row[i] != row[j] for i, j in itertools.combinations(range(8), 2)) for row in ranks]
    roots = np.sqrt(untied)[:, None] * np.ones(8)
    untied_in_gap = sum(g[i] != g[j] for i, j in itertools.combinations(range(8), 2))
    observed = abs(concordance(ranks[0], roots[0], g) - concordance(ranks[1], roots[1], g))
    result = tau_difference(x, y, g)
    assert observed / math.sqrt(untied_in_gap) == pytest.approx(abs(result.difference))
    extreme = 0
    for swaps in itertools.product((0, 1), repeat=8):
        chosen = np.array(swaps)
        a, b = (np.where(chosen, values[1], values[0]) for values in (ranks, roots))
        c, d = (np.where(chosen, values[0], values[1]) for values in (ranks, roots))
        extreme += abs(concordance(a, b, g) - concordance(c, d, g)) >= observed - 1e-9
    assert swap_test(x[:, None], y[:, None], g)[0] == pytest.approx(extreme / 2**8)
    assert result.p_value == pytest.approx(extreme / 2**8)


def test_many_pairs_at_once_are_each_what_one_alone_is() -> None:
    rng = np.random.default_rng(1)
    x, y, g = rng.normal(size=(20, 4)), rng.normal(size=(20, 4)), rng.normal(size=20)
    together = swap_test(x, y, g, draws=300)
    alone = [swap_test(x[:, [k]], y[:, [k]], g, draws=300)[0] for k in range(4)]
    np.testing.assert_allclose(together, alone)


def test_comparisons_that_miss_different_models_are_kept_apart() -> None:
    rng = np.random.default_rng(5)
    columns, g = rng.normal(size=(20, 4)), rng.normal(size=20)
    columns[2, 1] = math.nan
    columns[:, 3] = 1.0
    pairs = [(0, 1), (0, 2), (2, 1), (0, 3)]
    together = tau_differences(columns, g, pairs, draws=1000)
    for (x, y), result in zip(pairs, together, strict=True):
        alone = tau_difference(columns[:, x], columns[:, y], g, draws=1000)
        assert vars(result) == pytest.approx(vars(alone), nan_ok=True)
    assert [result.n for result in together] == [19, 20, 19, 20]
    assert math.isnan(together[3].p_value)


def test_p_values_are_uniform_where_the_measures_are_alike() -> None:
    rng = np.random.default_rng(2)
    n, repeats = 30, 300
    g = rng.normal(size=n)
    x, y = (g[:, None] + 2 * rng.normal(size=(n, repeats)) for _ in range(2))
    assert kstest(swap_test(x, y, g, draws=500), "uniform").pvalue > 0.01


def test_a_column_of_few_levels_is_not_at_a_disadvantage() -> None:
    """Both predict the gap equally well; one is recorded in five levels."""
    rng = np.random.default_rng(6)
    rejected = []
    for _ in range(40):
        g = rng.normal(size=30)
        x, y = (0.85 * g[:, None] + math.sqrt(1 - 0.85**2) * rng.normal(size=(30, 20)) for _ in range(2))
        five = np.digitize(y, [-0.84, -0.25, 0.25, 0.84])
        rejected.append((swap_test(x, five, g, draws=400) < 0.05).mean())
    assert np.mean(rejected) < 0.07  # 0.09 to 0.10 without the normalization


def test_a_planted_difference_is_found() -> None:
    rng = np.random.default_rng(3)
    g = rng.normal(size=40)
    result = tau_difference(g + 0.3 * rng.normal(size=40), rng.normal(size=40), g)
    assert result.p_value < 0.01
    assert 0 < result.ci_low < result.difference < result.ci_high


def test_the_same_measure_does_not_differ_from_itself() -> None:
    result = tau_difference(X, X, G)
    assert (result.difference, result.p_value, result.stderr) == (0, 1, 0)


def test_models_of_a_cell_are_swapped_together() -> None:
    rng = np.random.default_rng(4)
    g = rng.normal(size=5)
    x, y = g + 0.1 * rng.normal(size=5), rng.normal(size=5)
    cells = np.repeat(np.arange(5), 8)
    x, y, g = (np.repeat(values, 8) + 1e-4 * rng.normal(size=40) for values in (x, y, g))
    assert tau_difference(x, y, g, cells=cells).p_value >= 2 / 2**5
    assert tau_difference(x, y, g).p_value < 0.01


def test_missing_values_drop_the_model_from_both() -> None:
    result = tau_difference([*X, math.nan, 1.0], [*Y, 1.0, math.inf], [*G, 9.0, 9.0])
    assert result == tau_difference(X, Y, G)
    assert math.isnan(tau_difference([1, 2], [2, 1], [1, 2]).p_value)
    with pytest.raises(AnalysisError, match="got 1 and 2"):
        tau_difference([1], [1, 2], [1, 2])


def test_holms_adjustment() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, math.nan, 0.6]), [1.0, math.nan, 1.0])
    assert holm([]).size == 0
