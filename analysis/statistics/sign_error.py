"""The robust sign error: how often, in the worst case, a measure gets the direction of a single change wrong."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from analysis.statistics.axes import Axes, Grid, Models
from analysis.statistics.resampling import FloatArray

MIN_EFFECTIVE_PAIRS = 12.0  # Dziugaite et al. 2020


@dataclass(frozen=True)
class SignError:
    """The sign error over environments; an environment is one change v1 → v2 of one axis, with all others fixed."""

    mean: float  # NaN if no environment remains
    percentile_90: float
    maximum: float
    environments: int
    discarded: int  # environments with too few pairs whose gaps differ significantly


def sign_error(
    measure: ArrayLike,
    gap: ArrayLike,
    axes: Axes | Grid,
    num_test: int | None = None,
    gap_stderr: ArrayLike | None = None,
    min_effective_pairs: float = MIN_EFFECTIVE_PAIRS,
) -> SignError:
    """The share of wrong signs in each environment; pairs are weighted by how surely their gaps differ.

    error = ½(1 − sign(Δμ)·sign(Δg)), so ties give ½; the weight is max(0, h − ½), where h is the chance that the errors
    of both gaps are below half their difference. The mean of an environment includes all repeats of both
    configurations; environments whose effective number of pairs (Σw)²/Σw² is below `min_effective_pairs` are discarded
    (Dziugaite et al. 2020, §4). With one seed per configuration every environment is a single pair, and the usual
    threshold of 12 discards all of them; lower it to keep them. Cost: O(N²) for each axis.

    Args:
        measure, gap: (N,) values; models without one of them are dropped.
        axes: (N,) values of each axis, by name.
        num_test: size of the test set, for a gap in error; h is then Hoeffding's bound.
        gap_stderr: (N,) standard errors, for a gap in loss, which is not bounded; h is then that of the normal
            distribution. With neither, all pairs have the same weight.
        min_effective_pairs: the threshold below which an environment is discarded.

    Raises:
        AnalysisError: there are no axes, or the lengths differ.
    """
    models = Models.of(measure, gap, axes)
    stderr = None if gap_stderr is None else np.asarray(gap_stderr, dtype=np.float64).ravel()
    errors: list[float] = []
    discarded = 0
    for axis in range(len(models.grid.names)):
        pairs = models.pairs_along(axis)
        difference = models.gap[pairs.i] - models.gap[pairs.j]
        agreement = np.sign(models.measure[pairs.i] - models.measure[pairs.j]) * np.sign(difference)
        if num_test is not None:
            certainty = hoeffding_certainty(difference, num_test)
        elif stderr is not None:
            certainty = normal_certainty(difference, stderr[pairs.i], stderr[pairs.j])
        else:
            certainty = np.ones(len(difference))
        weights = np.maximum(certainty - 0.5, 0.0)
        total = np.bincount(pairs.change, weights=weights)
        squares = np.bincount(pairs.change, weights=weights**2)
        wrong = np.bincount(pairs.change, weights=weights * (1 - agreement) / 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            enough = (total > 0) & (total**2 / squares >= min_effective_pairs - 1e-9)
        errors += list(wrong[enough] / total[enough])
        discarded += int((np.bincount(pairs.change) > 0).sum() - enough.sum())
    if not errors:
        return SignError(math.nan, math.nan, math.nan, 0, discarded)
    return SignError(
        float(np.mean(errors)), float(np.quantile(errors, 0.9)), float(np.max(errors)), len(errors), discarded
    )


def hoeffding_certainty(difference: ArrayLike, num_test: int) -> FloatArray:
    """h = max(0, 1 − 2·exp(−2n(|Δ|/2)²))²: lower bound of the chance that both errors are below |Δ|/2."""
    half = np.abs(np.asarray(difference, dtype=np.float64)) / 2
    certainty: FloatArray = np.maximum(0.0, 1 - 2 * np.exp(-2 * num_test * half**2)) ** 2
    return certainty


def normal_certainty(difference: ArrayLike, first_stderr: ArrayLike, second_stderr: ArrayLike) -> FloatArray:
    """The same chance for means with known standard errors: Π (2Φ(|Δ|/(2·se)) − 1)."""
    half = np.abs(np.asarray(difference, dtype=np.float64)) / 2
    certainty = np.ones(half.shape)
    for stderr in (first_stderr, second_stderr):
        spread = np.asarray(stderr, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            certainty *= np.where(spread > 0, 2 * ndtr(half / spread) - 1, half > 0)
    return certainty
