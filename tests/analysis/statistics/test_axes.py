import math

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.statistics.axes import Axes, Grid, Models

AXES: Axes = {"learning_rate": [0.1, 0.1, 0.2, 0.2, 0.2], "optimizer": ["sgd", "adam", "sgd", "adam", "adam"]}


def pairs(grid: Grid, axis: int) -> set[tuple[int, int]]:
    return set(zip(grid.along[axis].i.tolist(), grid.along[axis].j.tolist(), strict=True))


def test_pairs_differ_in_one_axis_alone_and_go_from_the_lower_value_to_the_higher() -> None:
    grid = Grid.of(AXES)
    assert grid.names == ("learning_rate", "optimizer")
    assert pairs(grid, 0) == {(0, 2), (1, 3), (1, 4)}
    assert pairs(grid, 1) == {(1, 0), (3, 2), (4, 2)}  # "adam" comes first; the two repeats make no pair


def test_lines_and_changes_number_the_other_axes_and_the_two_values() -> None:
    along = Grid.of(AXES).along[0]
    assert along.num_lines == 2
    assert [along.line[along.i == model].tolist() for model in (0, 1)] == [[1], [0, 0]]
    assert len(set(along.change)) == 2


def test_models_without_a_value_are_in_no_pair() -> None:
    models = Models.of([1.0, math.nan, 2.0, 3.0, 4.0], np.arange(5.0), AXES)
    assert models.present.tolist() == [True, False, True, True, True]
    along = models.pairs_along(0)
    assert (along.i.tolist(), along.j.tolist(), along.num_lines) == ([0], [2], 2)


def test_a_grid_is_used_as_it_is() -> None:
    grid = Grid.of(AXES)
    assert Grid.of(grid) is grid


def test_axes_must_be_there_and_fit() -> None:
    with pytest.raises(AnalysisError, match="axes is empty"):
        Grid.of({})
    with pytest.raises(AnalysisError, match=r"one entry a model; got \{'a': 1, 'b': 2\}"):
        Grid.of({"a": [1], "b": [1, 2]})
    with pytest.raises(AnalysisError, match="'measure': 2, 'gap': 2, 'axes': 1"):
        Models.of([1.0, 2.0], [1.0, 2.0], {"a": [1]})
