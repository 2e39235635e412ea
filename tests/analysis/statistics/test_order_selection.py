import math

import numpy as np
import pytest
from scipy.stats import kendalltau, kstest

from analysis.errors import AnalysisError
from analysis.statistics import (
    Design,
    adjusted_p_values,
    kendall_taus,
    max_permutation_test,
    nested_order_tau,
    nested_order_taus,
    permuted_taus,
)
from analysis.statistics.leave_pair_out import LeavePairOut
from analysis.statistics.pairs import PairSums


def entropies(rng: np.random.Generator, n: int = 30, orders: int = 32) -> np.ndarray:
    """Columns as alike as neighbouring orders are: three random components, weighted by a decaying function."""
    components, a = rng.normal(size=(n, 3)), np.linspace(0, 3, orders)
    columns: np.ndarray = components @ np.stack([np.exp(-a), a * np.exp(-a), 0.3 * a])
    return columns


def reference_nested(columns: np.ndarray, gap: np.ndarray, cells: np.ndarray) -> float:
    """Leave the configurations of every pair out in turn, and choose by scipy's τ_b on what remains."""
    n = len(gap)
    top = untied_x = untied_y = 0.0
    for i in range(n):
        for j in range(i):
            rest = [k for k in range(n) if cells[k] not in (cells[i], cells[j])]
            taus = []
            for column in columns.T:
                usable = [k for k in rest if math.isfinite(column[k])]
                defined = math.isfinite(column[i]) and math.isfinite(column[j])
                taus.append(kendalltau(column[usable], gap[usable]).statistic if defined else -math.inf)
            best = columns[:, int(np.argmax(np.round(taus, 12)))]
            sx, sy = np.sign(best[i] - best[j]), np.sign(gap[i] - gap[j])
            top, untied_x, untied_y = top + sx * sy, untied_x + abs(sx), untied_y + abs(sy)
    return top / math.sqrt(untied_x * untied_y)


@pytest.mark.parametrize("untidy", [False, True])
@pytest.mark.parametrize("cells", [np.arange(12), np.array([3, 0, 1, 2, 3, 0, 1, 2, 4, 4, 5, 3])])
def test_it_equals_leaving_the_configurations_of_each_pair_out_in_turn(cells: np.ndarray, untidy: bool) -> None:
    rng = np.random.default_rng(5)
    columns, gap = rng.normal(size=(12, 4)), rng.normal(size=12)
    if untidy:
        columns, gap = np.round(columns, 0), np.round(gap, 0)
        columns[10, 1] = math.nan  # the one model of its configuration, in one of the two cases
    expected = reference_nested(columns, gap, cells)
    assert nested_order_tau(columns, gap, cells=cells).tau == pytest.approx(expected, abs=1e-12)


def test_seeds_of_a_configuration_do_not_give_the_answer_away() -> None:
    """Configurations share most of their measure and their gap, which are not associated; each has three seeds."""
    rng = np.random.default_rng(8)
    cells = np.repeat(np.arange(20), 3)
    by_model: list[float] = []
    by_configuration: list[float] = []
    for _ in range(60):
        columns = rng.normal(size=(20, 12))[cells] + 0.3 * rng.normal(size=(60, 12))
        gap = rng.normal(size=20)[cells] + 0.3 * rng.normal(size=60)
        sums = PairSums(columns, gap)
        for found, labels in ((by_model, np.arange(60)), (by_configuration, cells)):
            nested = LeavePairOut(sums, [np.arange(12)], labels)
            (((tau,), _),) = nested.taus(np.ones((1, nested.num_cells)), [1], np.arange(nested.num_pairs))
            found.append(float(tau))
    assert np.mean(by_model) > 0.05
    assert abs(np.mean(by_configuration)) < 2.5 * np.std(by_configuration) / math.sqrt(60)


@pytest.mark.parametrize("untidy", [False, True])
def test_choices_made_together_are_those_made_one_by_one(untidy: bool) -> None:
    rng = np.random.default_rng(6)
    columns, gap = entropies(rng, orders=9), rng.normal(size=30)
    if untidy:
        columns[:4, 2], columns[5:9, 7] = math.nan, 1.0
    choices = [np.arange(4), np.arange(4, 9), np.arange(9)]
    cells = np.arange(30) // 3
    together = nested_order_taus(columns, gap, choices, cells=cells)
    assert together == [nested_order_tau(columns[:, choice], gap, cells=cells) for choice in choices]
    assert len({nested.tau for nested in together}) > 1


def test_one_column_leaves_nothing_to_choose() -> None:
    rng = np.random.default_rng(1)
    column, gap = rng.integers(0, 9, size=(2, 15)).astype(float)
    result = nested_order_tau(column, gap)
    assert result.tau == pytest.approx(kendall_taus(column, gap).tau_b[0])
    assert result.chosen == {0: 1.0}


def test_without_association_the_best_is_optimistic_and_the_nested_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.statistics.order_selection.NESTED_DRAWS", (2, 2))  # its error is not used
    rng = np.random.default_rng(2)
    nested, best, p_values, familywise = [], [], [], []
    for repeat in range(80):
        columns, gap = entropies(rng), rng.normal(size=30)
        nested.append(nested_order_tau(columns, gap).tau)
        observed = kendall_taus(columns, gap, draws=2).tau_b
        permuted = permuted_taus(columns, gap, Design.of_cells(30).null(seed=repeat, draws=200))
        result = max_permutation_test(observed, permuted)
        best.append(result.tau)
        p_values.append(result.p_value)
        familywise.append(np.min(adjusted_p_values(observed, permuted)[1]))
    stderr = np.std(nested) / math.sqrt(len(nested))
    assert abs(np.mean(nested)) < 3 * stderr
    assert np.mean(best) > 0.06
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert kstest(familywise, "uniform").pvalue > 0.01


def test_a_planted_order_is_found_and_its_choice_accounted_for() -> None:
    rng = np.random.default_rng(3)
    columns = entropies(rng, n=40)
    gap = columns[:, 20] + 0.5 * columns[:, 20].std() * rng.normal(size=40)
    observed = kendall_taus(columns, gap).tau_b
    result = max_permutation_test(observed, permuted_taus(columns, gap, Design.of_cells(40).null()))
    assert result.tau == observed.max()
    assert result.p_value == 1 / 2001
    nested = nested_order_tau(columns, gap)
    assert 0.4 < nested.ci_low < nested.tau <= result.tau + 1e-12
    assert abs(max(nested.chosen, key=nested.chosen.__getitem__) - 20) < 8
    assert sum(nested.chosen.values()) == pytest.approx(1)


@pytest.mark.parametrize("association", [0.0, 0.3])
def test_the_interval_of_the_nested_tau_covers(association: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.statistics.order_selection.NESTED_DRAWS", (50, 50))
    rng = np.random.default_rng(4)
    results = []
    for _ in range(120):
        columns = entropies(rng, orders=12)
        signal = columns[:, 6] / columns[:, 6].std()
        gap = association * signal + math.sqrt(1 - association**2) * rng.normal(size=30)
        results.append(nested_order_tau(columns, gap))
    truth = np.mean([result.tau for result in results]) if association else 0.0
    covered = np.mean([result.ci_low <= truth <= result.ci_high for result in results])
    assert covered == pytest.approx(0.95, abs=0.04)


def test_undefined_values_are_nan() -> None:
    nothing = nested_order_tau(np.ones((6, 2)), np.arange(6.0))
    assert math.isnan(nothing.tau)
    assert nothing.chosen == {}
    assert math.isnan(nested_order_tau(np.ones((1, 2)), [1.0]).tau)
    assert max_permutation_test(np.array([math.nan]), np.full((5, 1), math.nan)).column == -1
    with pytest.raises(AnalysisError, match="columns is empty"):
        nested_order_tau(np.ones((6, 0)), np.arange(6.0))


def test_adjusted_p_values_keep_undefined_columns_apart() -> None:
    observed = np.array([0.9, math.nan, 0.1])
    permuted = np.array([[0.2, math.nan, -0.3], [0.95, math.nan, 0.05]])
    alone, adjusted = adjusted_p_values(observed, permuted)
    np.testing.assert_allclose(alone, [2 / 3, math.nan, 2 / 3])
    np.testing.assert_allclose(adjusted, [2 / 3, math.nan, 1.0])
