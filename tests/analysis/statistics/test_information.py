import itertools
import math
import time
from collections import Counter

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.statistics import conditional_mutual_information
from tests.analysis.statistics.test_granulated import AXES, GAP, MEASURE


def reference_information(
    measure: np.ndarray, gap: np.ndarray, axes: dict[str, np.ndarray], chosen: tuple[str, ...]
) -> float:
    """Σ_u p(u) I(V_μ; V_g | u) / Σ_u p(u) H(V_g | u), straight from the definition."""
    by_condition: dict[tuple[object, ...], list[tuple[float, float]]] = {}
    for i, j in itertools.permutations(range(len(gap)), 2):
        u = tuple((axes[name][i], axes[name][j]) for name in chosen)
        signs = (float(np.sign(measure[i] - measure[j])), float(np.sign(gap[i] - gap[j])))
        by_condition.setdefault(u, []).append(signs)
    total = len(gap) * (len(gap) - 1)
    information = entropy = 0.0
    for pairs in by_condition.values():
        joint, size = Counter(pairs), len(pairs)
        left, right = Counter(pair[0] for pair in pairs), Counter(pair[1] for pair in pairs)
        information += (
            size
            / total
            * sum(count / size * math.log(count * size / (left[a] * right[b])) for (a, b), count in joint.items())
        )
        entropy -= size / total * sum(count / size * math.log(count / size) for count in right.values())
    return information / entropy if entropy > 1e-12 else math.nan


def test_the_grid_of_the_specification() -> None:
    result = conditional_mutual_information(MEASURE, GAP, AXES)
    assert result.given[()] == pytest.approx(0.0290494, abs=1e-7)
    assert result.given[("learning_rate",)] == pytest.approx(1)
    assert result.given[("weight_decay",)] == pytest.approx(0.351045, abs=1e-6)
    assert math.isnan(result.given[("learning_rate", "weight_decay")])
    assert result.k == pytest.approx(0.0290494, abs=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_it_equals_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.array(list(itertools.product(range(3), range(2), range(2), range(2))))
    axes = {name: points[:, index] for index, name in enumerate(("a", "b", "c"))}
    measure, gap = rng.integers(0, 5, size=len(points)).astype(float), rng.integers(0, 9, len(points)).astype(float)
    result = conditional_mutual_information(measure, gap, axes)
    assert len(result.given) == 1 + 3 + 3
    for chosen, value in result.given.items():
        expected = reference_information(measure, gap, axes, chosen)
        assert value == pytest.approx(expected, abs=1e-9, nan_ok=True), chosen
    assert result.k == min(value for value in result.given.values() if not math.isnan(value))


def test_direction_earns_nothing() -> None:
    rng = np.random.default_rng(0)
    measure, gap, axes = rng.normal(size=12), rng.normal(size=12), {"a": np.tile([1, 2, 3], 4)}
    forward, backward = (conditional_mutual_information(sign * measure, gap, axes) for sign in (1, -1))
    assert forward.k == pytest.approx(backward.k)
    assert conditional_mutual_information(-gap, gap, axes).k == pytest.approx(1)


def test_a_constant_gap_leaves_nothing_to_predict() -> None:
    assert math.isnan(conditional_mutual_information([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], {"a": [1, 2, 3]}).k)
    assert math.isnan(conditional_mutual_information([1.0], [1.0], {"a": [1]}).k)


def h(*probabilities: float) -> float:
    """Entropy in bits, as the competition counts it."""
    return -sum(p * math.log2(p) for p in probabilities if p)


TWO_OF_A_AND_THREE_OF_B = {"lr": [1, 1, 2, 2, 2], "wd": [1, 1, 2, 2, 2]}


def test_the_competition_counts_self_pairs_two_signs_and_each_cell_alike() -> None:
    # Configuration A: the measure has the reverse order of the gap. Of its four ordered pairs one has the greater gap
    # in front, and another one the greater measure. Configuration B: both have the same order, 3 of 9 pairs are
    # greater. Between A and B the gap's order is known. So Σ H = h(1/4) + h(1/3), and A shares 2 h(1/4) − h(1/2, 1/4,
    # 1/4) of it.
    found = conditional_mutual_information(
        [2.0, 1.0, 5.0, 6.0, 7.0], [1.0, 2.0, 3.0, 4.0, 5.0], TWO_OF_A_AND_THREE_OF_B, convention="pgdl"
    )
    a, b = h(1 / 4, 3 / 4), h(1 / 3, 2 / 3)
    assert found.k == pytest.approx((2 * a - h(0.5, 0.25, 0.25) + b) / (a + b), abs=1e-12)
    assert found.k == pytest.approx(0.601797, abs=1e-6)
    assert found.given == {("lr", "wd"): found.k}
    assert (found.n, found.convention) == (5, "pgdl")


def test_a_tie_is_not_greater_for_the_competition() -> None:
    # Two models of one configuration with the same measure: their order says nothing of the gap's.
    axes = {"lr": [1, 1], "wd": [1, 1]}
    assert conditional_mutual_information([3.0, 3.0], [1.0, 2.0], axes, convention="pgdl").k == 0.0
    same_gap = conditional_mutual_information([3.0, 4.0], [1.0, 1.0], axes, convention="pgdl")
    assert math.isnan(same_gap.k)


def test_the_competition_takes_the_least_of_all_pairs_of_axes() -> None:
    rng = np.random.default_rng(1)
    points = np.array(list(itertools.product(range(3), range(2), range(2), range(2))))
    axes = {name: points[:, index] for index, name in enumerate(("a", "b", "c"))}
    measure, gap = rng.integers(0, 5, len(points)).astype(float), rng.integers(0, 9, len(points)).astype(float)
    found = conditional_mutual_information(measure, gap, axes, convention="pgdl")
    assert set(found.given) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert found.k == min(found.given.values())
    for chosen, value in found.given.items():
        assert value == pytest.approx(reference_of_the_competition(measure, gap, axes, chosen), abs=1e-12)


def reference_of_the_competition(
    measure: np.ndarray, gap: np.ndarray, axes: dict[str, np.ndarray], chosen: tuple[str, ...]
) -> float:
    """Σ_u I_u / Σ_u H_u, straight from the definition."""
    cells: dict[tuple[object, ...], list[tuple[bool, bool]]] = {}
    for i, j in itertools.product(range(len(gap)), repeat=2):
        u = tuple((axes[name][i], axes[name][j]) for name in chosen)
        cells.setdefault(u, []).append((bool(measure[i] > measure[j]), bool(gap[i] > gap[j])))
    information = entropy = 0.0
    for pairs in cells.values():
        both = h(*(count / len(pairs) for count in Counter(pairs).values()))
        one, other = (h(*(n / len(pairs) for n in Counter(p[k] for p in pairs).values())) for k in (0, 1))
        information, entropy = information + one + other - both, entropy + other
    return information / entropy


def test_150_models_with_six_axes_take_less_than_a_second() -> None:
    rng = np.random.default_rng(0)
    axes = {f"axis {k}": rng.integers(0, 3, 150) for k in range(6)}
    started = time.perf_counter()
    found = conditional_mutual_information(rng.normal(size=150), rng.normal(size=150), axes, convention="pgdl")
    assert len(found.given) == 15
    assert time.perf_counter() - started < 1


def test_conventions_that_can_not_be_are_refused() -> None:
    with pytest.raises(AnalysisError, match="at least two; got lr: use 'jiang'"):
        conditional_mutual_information([1.0, 2.0], [1.0, 2.0], {"lr": [1, 1]}, convention="pgdl")
    with pytest.raises(AnalysisError, match="convention must be one of jiang, pgdl; got 'pdgl'"):
        conditional_mutual_information([1.0, 2.0], [1.0, 2.0], {"lr": [1, 1]}, convention="pdgl")  # type: ignore[arg-type]


def test_models_without_a_value_do_not_count() -> None:
    measure = np.array([2.0, 1.0, 5.0, 6.0, 7.0, math.nan])
    axes = {name: [*values, 1] for name, values in TWO_OF_A_AND_THREE_OF_B.items()}
    found = conditional_mutual_information(measure, [1.0, 2.0, 3.0, 4.0, 5.0, 9.0], axes, convention="pgdl")
    assert found.n == 5
    assert found.k == pytest.approx(0.601797, abs=1e-6)
