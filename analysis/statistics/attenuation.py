"""How much the errors of the measures themselves shrink τ towards 0."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Attenuation:
    """The effect of noise in a measure on its ranking. NaN if the spread or the errors are unknown."""

    noise: float  # root mean square standard error over the standard deviation between models
    factor: float  # τ of the estimates with another quantity, relative to that of exact values; the limit of small τ


def attenuation(values: ArrayLike, stderr: ArrayLike) -> Attenuation:
    """The attenuation of τ that standard errors imply, for values spread about normally.

    The share of the variance that is not noise is r = 1 − mean(se²)/var(values). The estimates' correlation with the
    exact values is then √r, and small τ with other quantities shrink by the factor √r. Noise of 0.1 or less usually
    changes no ranking that matters.

    Args:
        values, stderr: (N,) estimates and their standard errors; models without one of them are dropped.
    """
    x, se = np.asarray(values, dtype=np.float64).ravel(), np.asarray(stderr, dtype=np.float64).ravel()
    known = np.isfinite(x) & np.isfinite(se)
    if known.sum() < 2 or np.ptp(x[known]) == 0:
        return Attenuation(math.nan, math.nan)
    noise_share = float((se[known] ** 2).mean() / x[known].var(ddof=1))
    return Attenuation(math.sqrt(noise_share), math.sqrt(max(1 - noise_share, 0.0)))
