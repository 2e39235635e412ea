import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from analysis.statistics import attenuation


def test_it_predicts_the_tau_of_estimates_with_exact_values() -> None:
    # (2/π)·asin of the correlation, which is the factor.
    rng = np.random.default_rng(0)
    exact = rng.normal(size=2000)
    for noise in (0.1, 0.5, 1.0):
        estimated = exact + noise * rng.normal(size=2000)
        result = attenuation(estimated, np.full(2000, noise))
        tau = 2 / math.pi * math.asin(result.factor)
        assert tau == pytest.approx(kendalltau(exact, estimated).statistic, abs=0.02)
        assert result.noise == pytest.approx(noise / math.sqrt(1 + noise**2), abs=0.02)


def test_it_predicts_how_much_a_small_tau_shrinks() -> None:
    rng = np.random.default_rng(1)
    exact = rng.normal(size=4000)
    other = 0.3 * exact + rng.normal(size=4000)
    estimated = exact + rng.normal(size=4000)
    shrunk = kendalltau(estimated, other).statistic / kendalltau(exact, other).statistic
    assert attenuation(estimated, np.ones(4000)).factor == pytest.approx(shrunk, abs=0.06)


def test_exact_values_are_not_attenuated() -> None:
    assert vars(attenuation([1.0, 2.0, 3.0], np.zeros(3))) == {"noise": 0.0, "factor": 1.0}


def test_more_noise_than_spread_leaves_nothing() -> None:
    assert attenuation([1.0, 1.1, 1.2], np.ones(3)).factor == 0


def test_unknown_errors_and_constant_measures_say_nothing() -> None:
    assert math.isnan(attenuation([1.0, 2.0], [math.nan, math.nan]).factor)
    assert math.isnan(attenuation([1.0, 1.0], [0.1, 0.1]).factor)
