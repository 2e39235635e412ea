import math

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.statistics.resampling import (
    bootstrap_multiplicities,
    jackknife_multiplicities,
    jackknife_stderr,
    permutations,
)

CELLS = ["a", "a", "b", "b", "c", "d"]


def test_every_bootstrap_draw_has_as_many_models_as_there_are() -> None:
    draws = bootstrap_multiplicities(7, draws=50)
    assert draws.shape == (50, 7)
    assert set(draws.sum(axis=1)) == {7.0}
    np.testing.assert_array_equal(draws, bootstrap_multiplicities(7, draws=50))
    assert not np.array_equal(draws, bootstrap_multiplicities(7, seed=1, draws=50))


def test_models_of_a_cell_are_drawn_together() -> None:
    draws = bootstrap_multiplicities(6, draws=50, cells=CELLS)
    np.testing.assert_array_equal(draws[:, 0], draws[:, 1])
    np.testing.assert_array_equal(draws[:, 2], draws[:, 3])
    assert set(draws[:, [0, 2, 4, 5]].sum(axis=1)) == {4.0}


def test_the_jackknife_leaves_out_one_cell_at_a_time() -> None:
    np.testing.assert_array_equal(jackknife_multiplicities(3), 1 - np.eye(3))
    assert jackknife_multiplicities(6, CELLS).tolist()[0] == [0, 0, 1, 1, 1, 1]
    assert jackknife_multiplicities(6, CELLS).shape == (4, 6)


def test_the_jackknife_of_a_mean_is_its_usual_standard_error() -> None:
    x = np.random.default_rng(0).normal(size=20)
    left_out = (jackknife_multiplicities(20) @ x) / 19
    assert jackknife_stderr(left_out) == pytest.approx(x.std(ddof=1) / math.sqrt(20))
    assert math.isnan(jackknife_stderr(np.ones(1)))


def test_cells_are_exchanged_with_cells_of_their_size() -> None:
    draws = permutations(6, draws=200, cells=CELLS)
    assert (np.sort(draws, axis=1) == np.arange(6)).all()
    assert {tuple(row) for row in draws[:, :2]} == {(0, 1), (2, 3)}
    assert {tuple(row) for row in draws[:, 4:]} == {(4, 5), (5, 4)}
    assert len({tuple(row) for row in permutations(6, draws=2000)}) > 600


def test_each_model_needs_a_label() -> None:
    with pytest.raises(AnalysisError, match="6 models; got 2"):
        permutations(6, cells=["a", "b"])


def test_cells_can_stay_within_their_group() -> None:
    draws = permutations(6, draws=200, cells=CELLS, within=[0, 0, 0, 0, 1, 1])
    assert {tuple(row) for row in draws} == {
        (*first, *second) for first in ((0, 1, 2, 3), (2, 3, 0, 1)) for second in ((4, 5), (5, 4))
    }
