import itertools
import math

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.statistics import granulated_kendall

LEARNING_RATE = np.repeat([1, 2], 3)
WEIGHT_DECAY = np.tile([1, 2, 3], 2)
AXES = {"learning_rate": LEARNING_RATE, "weight_decay": WEIGHT_DECAY}
GAP = 3 * LEARNING_RATE + WEIGHT_DECAY
MEASURE = WEIGHT_DECAY - 10 * LEARNING_RATE


def reference_psi(measure: np.ndarray, gap: np.ndarray, axes: dict[str, np.ndarray], axis: str) -> float:
    """ψ of one axis, line by line and pair by pair."""
    others = [name for name in axes if name != axis]
    present = [index for index in range(len(gap)) if np.isfinite([measure[index], gap[index]]).all()]
    lines: dict[tuple[float, ...], list[int]] = {}
    for index in present:
        lines.setdefault(tuple(axes[name][index] for name in others), []).append(index)
    taus = []
    for members in lines.values():
        pairs = [(i, j) for i, j in itertools.combinations(members, 2) if axes[axis][i] != axes[axis][j]]
        if pairs:
            taus.append(np.mean([np.sign(measure[i] - measure[j]) * np.sign(gap[i] - gap[j]) for i, j in pairs]).item())
    return float(np.mean(taus))


def test_the_grid_of_the_specification() -> None:
    result = granulated_kendall(MEASURE, GAP, AXES)
    assert result.by_axis["weight_decay"].tau == 1
    assert result.by_axis["learning_rate"].tau == -1
    assert result.psi == 0
    assert (result.by_axis["learning_rate"].lines, result.by_axis["weight_decay"].lines) == (3, 2)


@pytest.mark.parametrize("seed", range(5))
def test_it_equals_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.array(list(itertools.product(range(3), range(4), range(2), range(2))))[rng.random(48) < 0.8]
    axes = {name: points[:, index] for index, name in enumerate(("a", "b", "c"))}  # the last one makes repeats
    measure, gap = rng.integers(0, 7, size=len(points)).astype(float), rng.normal(size=len(points))
    measure[0] = math.nan
    result = granulated_kendall(measure, gap, axes)
    expected = {name: reference_psi(measure, gap, axes, name) for name in axes}
    assert {name: axis.tau for name, axis in result.by_axis.items()} == pytest.approx(expected, abs=1e-12)
    assert result.psi == pytest.approx(np.mean(list(expected.values())), abs=1e-12)


def test_lines_with_a_single_model_are_skipped_and_counted() -> None:
    kept = [0, 1, 2, 3]  # of the second learning rate, only the first weight decay
    result = granulated_kendall(MEASURE[kept], GAP[kept], {name: values[kept] for name, values in AXES.items()})
    assert (result.by_axis["weight_decay"].lines, result.by_axis["weight_decay"].skipped) == (1, 1)
    assert (result.by_axis["learning_rate"].lines, result.by_axis["learning_rate"].skipped) == (1, 2)


def test_an_axis_may_be_held_without_being_averaged() -> None:
    result = granulated_kendall(MEASURE, GAP, AXES, over=["weight_decay"])
    assert result.psi == 1
    assert list(result.by_axis) == ["weight_decay"]


def test_one_model_has_no_lines() -> None:
    result = granulated_kendall([1.0], [1.0], {"a": [1]})
    assert math.isnan(result.psi)
    assert result.by_axis["a"].skipped == 1


def test_axes_are_needed_and_must_fit() -> None:
    with pytest.raises(AnalysisError, match="axes is empty"):
        granulated_kendall([1.0], [1.0], {})
    with pytest.raises(AnalysisError, match="one entry a model"):
        granulated_kendall([1.0, 2.0], [1.0, 2.0], {"a": [1]})
