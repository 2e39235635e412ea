import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from analysis.statistics import lead
from analysis.statistics.pairs import PairSums
from analysis.statistics.resampling import jackknife_multiplicities


def left_out(columns: np.ndarray, gap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sums = PairSums(columns, gap)
    weights = np.concatenate([np.ones((1, len(gap))), jackknife_multiplicities(len(gap))])
    tau = sums.weighted_tau(weights)
    return tau[0], tau[1:]


def test_for_means_it_is_the_paired_t_test() -> None:
    """The jackknife of a difference of means is the usual standard error."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 2)) + np.array([1.0, 0.5])
    without = (x.sum(axis=0) - x) / 11
    found = lead(x.mean(axis=0), without)
    assert found.best == 0
    assert found.p_values[1] == pytest.approx(ttest_1samp(x[:, 0] - x[:, 1], 0, alternative="greater").pvalue)


def test_the_sign_does_not_matter_and_copies_are_as_good() -> None:
    rng = np.random.default_rng(1)
    gap = rng.normal(size=30)
    follows = gap + 0.2 * rng.normal(size=30)
    columns = np.stack([rng.normal(size=30), -follows, follows**3, np.ones(30)], axis=1)
    found = lead(*left_out(columns, gap))
    assert found.best == 1
    assert found.p_values[0] < 0.001
    assert found.p_values[2] == 0.5
    assert np.isnan(found.p_values[[1, 3]]).all()


def test_two_equally_good_measures_are_rarely_told_apart() -> None:
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(200):
        gap = rng.normal(size=30)
        p_values = lead(*left_out(gap[:, None] + 0.7 * rng.normal(size=(30, 2)), gap)).p_values
        wrong += bool(np.nanmax(p_values) <= 0.025)
    assert wrong <= 200 * 0.08


def test_nothing_leads_nothing() -> None:
    assert lead(np.array([math.nan]), np.full((4, 1), math.nan)).best == -1
    assert lead(np.zeros(0), np.zeros((4, 0))).best == -1
