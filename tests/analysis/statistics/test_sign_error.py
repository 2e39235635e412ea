import itertools
import math

import numpy as np
import pytest
from scipy.stats import norm

from analysis.statistics import SignError, sign_error
from analysis.statistics.sign_error import hoeffding_certainty, normal_certainty


def reference_sign_error(
    measure: np.ndarray, gap: np.ndarray, axes: dict[str, np.ndarray], num_test: int, threshold: float
) -> SignError:
    """Environment by environment and pair by pair."""
    environments: dict[tuple[object, ...], list[tuple[float, float]]] = {}
    for axis in axes:
        for i, j in itertools.permutations(range(len(gap)), 2):
            same = all(axes[name][i] == axes[name][j] for name in axes if name != axis)
            if same and axes[axis][i] < axes[axis][j]:
                key = (axis, axes[axis][i], axes[axis][j], *(axes[name][i] for name in axes if name != axis))
                certainty = max(0, 1 - 2 * math.exp(-2 * num_test * (abs(gap[i] - gap[j]) / 2) ** 2)) ** 2
                error = (1 - np.sign(measure[i] - measure[j]) * np.sign(gap[i] - gap[j])) / 2
                environments.setdefault(key, []).append((max(0, certainty - 0.5), error))
    errors = []
    for pairs in environments.values():
        weights = np.array([weight for weight, _ in pairs])
        if weights.sum() > 0 and weights.sum() ** 2 / (weights**2).sum() >= threshold - 1e-9:
            errors.append(sum(weight * error for weight, error in pairs) / weights.sum())
    discarded = len(environments) - len(errors)
    return SignError(float(np.mean(errors)), float(np.quantile(errors, 0.9)), max(errors), len(errors), discarded)


def test_hoeffdings_bound_has_the_values_of_the_specification() -> None:
    np.testing.assert_allclose(hoeffding_certainty([0.01, 0.02, 0.03], 10_000), [0, 0.531921, 0.956058], atol=1e-6)


def test_known_errors_give_the_certainty_of_the_normal_distribution() -> None:
    expected = (2 * norm.cdf(0.5 / 0.2) - 1) * (2 * norm.cdf(0.5 / 0.4) - 1)
    assert normal_certainty(-1.0, 0.2, 0.4) == pytest.approx(expected)
    np.testing.assert_array_equal(normal_certainty([1.0, 0.0], 0.0, 0.0), [1, 0])


@pytest.mark.parametrize("threshold", [1.0, 4.0])
def test_it_equals_plain_loops(threshold: float) -> None:
    rng = np.random.default_rng(0)
    points = np.array(list(itertools.product(range(3), range(2), range(4))))  # four repeats of six configurations
    axes = {"a": points[:, 0], "b": points[:, 1]}
    gap, measure = rng.normal(0.1, 0.05, size=24), rng.integers(0, 9, size=24).astype(float)
    result = sign_error(measure, gap, axes, num_test=10_000, min_effective_pairs=threshold)
    expected = reference_sign_error(measure, gap, axes, 10_000, threshold)
    assert vars(result) == pytest.approx(vars(expected), abs=1e-12)
    assert result.environments > 0


def test_one_seed_a_configuration_leaves_no_environment_at_the_usual_threshold() -> None:
    gap, axes = np.array([0.1, 0.2, 0.3]), {"a": [1, 2, 3]}
    result = sign_error(gap, gap, axes)
    assert (result.environments, result.discarded) == (0, 3)
    assert math.isnan(result.maximum)
    lowered = sign_error([1.0, 3.0, 2.0], gap, axes, min_effective_pairs=1)
    assert (lowered.environments, lowered.maximum) == (3, 1.0)
    assert lowered.mean == pytest.approx(1 / 3)


def test_gaps_that_do_not_differ_surely_have_no_weight() -> None:
    gap, axes = np.array([0.1, 0.1001, 0.3]), {"a": [1, 2, 3]}
    result = sign_error([2.0, 1.0, 3.0], gap, axes, gap_stderr=np.full(3, 0.01), min_effective_pairs=1)
    assert (result.environments, result.discarded, result.maximum) == (2, 1, 0.0)
