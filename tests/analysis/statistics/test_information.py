import itertools
import math
from collections import Counter

import numpy as np
import pytest

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
