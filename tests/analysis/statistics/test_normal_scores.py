import numpy as np
import pytest
from scipy.stats import norm

from analysis.statistics.normal_scores import adjustment_for, normal_scores, num_terms, spline_terms, usable_models


def test_scores_are_normal_quantiles_and_ties_share_their_rank() -> None:
    scores = normal_scores(np.array([[3.0], [1.0], [1.0], [7.0]]))[:, 0]
    np.testing.assert_allclose(scores, norm.ppf([2.5 / 4, 1 / 4, 1 / 4, 3.5 / 4]))


def test_the_example_of_the_specification() -> None:
    terms = spline_terms(np.array([-1.28, 0, 1.28, 2]), 2)
    np.testing.assert_allclose(terms[:, 1], [0, 0.32, 1.92, 3.0], atol=1e-12)


@pytest.mark.parametrize("terms", [2, 3])
def test_the_spline_is_straight_beyond_its_outer_knots_and_smooth_between(terms: int) -> None:
    step = 1e-3
    u = np.arange(-4, 4, step)
    bends = np.diff(spline_terms(u, terms), n=2, axis=0) / step**2
    outside = np.abs(u[1:-1]) > 1.41
    np.testing.assert_allclose(bends[outside], 0, atol=1e-5)
    assert np.abs(np.diff(bends, axis=0)).max() < 0.02  # the second derivative has no jump


def test_the_number_of_terms_grows_with_the_group() -> None:
    assert [num_terms(size) for size in (6, 11, 12, 29, 30, 500)] == [1, 1, 2, 2, 3, 3]


def test_small_groups_are_left_out_where_there_is_something_to_adjust_for() -> None:
    labels, present = np.array([0] * 6 + [1] * 6 + [2]), np.ones(13, dtype=bool)
    present[6] = False
    assert usable_models(present, labels, 1).sum() == 6
    assert usable_models(present, labels, 0).sum() == 11


def test_r_squared_predicts_each_model_from_the_others() -> None:
    """By fitting again without each model in turn, in two groups."""
    rng = np.random.default_rng(0)
    z, x = rng.normal(size=(2, 30))
    labels = np.repeat([0, 1], [10, 20])
    left = {1: 0.0, 2: 0.0}
    whole = 0.0
    for group in (0, 1):
        u, q = (normal_scores(values[labels == group][:, None])[:, 0] for values in (z, x))
        for model in range(len(u)):
            rest = np.arange(len(u)) != model
            whole += (q[model] - q[rest].mean()) ** 2
            for terms in left:
                design = np.column_stack([np.ones(len(u)), spline_terms(u, 1 if group == 0 else 2)])[:, : terms + 1]
                fitted = np.linalg.lstsq(design[rest], q[rest], rcond=None)[0]
                left[terms] += (q[model] - design[model] @ fitted) ** 2
    expected = 1 - min(left.values()) / whole
    assert adjustment_for(z[:, None], labels).explained(x[:, None])[0] == pytest.approx(expected)
