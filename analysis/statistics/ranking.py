"""Whether the measure of the strongest τ is the best one, or tied with others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from analysis.statistics.resampling import FloatArray, jackknife_stderr


@dataclass(frozen=True)
class Lead:
    """The column of the strongest τ, and how surely each other column is weaker."""

    best: int  # −1 if no τ is defined
    p_values: FloatArray  # (num_columns,) one-sided, that the column is as strong; NaN for the best and undefined ones


def lead(tau: FloatArray, left_out: FloatArray, candidates: NDArray[np.bool_] | None = None) -> Lead:
    """Compare the strongest τ of the candidates with each other τ by a paired jackknife t of |τ| over configurations.

    d_r = |τ_best| − |τ_r|, t = d_r/se(d_r) on G − 1 degrees of freedom. The best is better than all only if each single
    p-value is below the level: an intersection–union test, which needs no correction (Berger 1982).

    Args:
        tau: (num_columns,) τ of the columns; NaN for those that don't take part.
        left_out: (G, num_columns) the same without each of G configurations.
        candidates: (num_columns,) which may lead; None: all.
    """
    may_lead = np.isfinite(tau) if candidates is None else np.isfinite(tau) & candidates
    strength = np.where(may_lead, np.abs(tau), -1.0)
    if strength.size == 0 or strength.max() < 0:
        return Lead(-1, np.full(tau.shape, np.nan))
    best = int(strength.argmax())
    ahead = strength[best] - np.abs(tau)
    without = np.abs(left_out[:, [best]]) - np.abs(left_out)
    stderr = jackknife_stderr(without)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.where(stderr > 0, ahead / stderr, np.where(ahead > 0, np.inf, 0.0))
    defined = np.isfinite(ahead) & np.isfinite(stderr) & (np.arange(len(tau)) != best)
    return Lead(best, np.where(defined, stdtr(max(len(left_out) - 1, 1), -t), np.nan))
