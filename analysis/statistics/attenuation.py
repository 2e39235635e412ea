"""How far the errors of the measures themselves pull τ towards 0."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Attenuation:
    """What noise in a measure does to its ranking. NaN where the spread or the errors are not known."""

    noise: float  # root mean square standard error over the standard deviation between models
    tau_with_exact: float  # expected τ of the estimates with the exact values
    factor: float  # expected τ with anything, over what exact values would give; the smaller τ, the nearer to this


def attenuation(values: ArrayLike, stderr: ArrayLike) -> Attenuation:
    """The attenuation of τ that standard errors imply, for values spread about normally.

    With r = 1 − mean(se²)/var(values) the share of the variance that is not noise, the estimates' correlation with the
    exact values is √r, so τ with them is (2/π)·asin √r, and small τ with other quantities shrink by √r. As a rule,
    noise ≤ 0.1 changes no ranking that matters.

    Args:
        values, stderr: (N,) estimates and their standard errors; models that miss one are dropped.
    """
    x, se = np.asarray(values, dtype=np.float64).ravel(), np.asarray(stderr, dtype=np.float64).ravel()
    known = np.isfinite(x) & np.isfinite(se)
    if known.sum() < 2 or np.ptp(x[known]) == 0:
        return Attenuation(math.nan, math.nan, math.nan)
    noise_share = float((se[known] ** 2).mean() / x[known].var(ddof=1))
    root = math.sqrt(max(1 - noise_share, 0.0))
    return Attenuation(math.sqrt(noise_share), 2 / math.pi * math.asin(root), root)
