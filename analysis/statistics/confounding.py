"""Kendall's own partial τ, and τ within strata of a third quantity, beside which `partial_tau` is shown."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import AnalysisError
from analysis.statistics.kendall import MIN_FOR_INTERVAL, interval
from analysis.statistics.pairs import PairSums
from analysis.statistics.resampling import (
    NUM_DRAWS,
    FloatArray,
    Resampling,
    jackknife_stderr,
)

NUM_STRATA = 3
LEAST_REMAINDER = 1e-9  # of 1 − τ²: below, z determines the ranking and nothing remains to correlate


@dataclass(frozen=True)
class KendallPartial:
    """Kendall's partial τ of many columns with the gap, given a third quantity; NaN if undefined."""

    with_third: FloatArray  # (num_columns,) τ_b of the column with the third quantity
    tau: FloatArray  # (num_columns,) Kendall's partial τ
    stderr: FloatArray  # jackknife over models
    ci_low: FloatArray  # 95 % percentile bootstrap over models
    ci_high: FloatArray


@dataclass(frozen=True)
class StratifiedTau:
    """τ_b within strata; one entry for each column, NaN if undefined."""

    tau: FloatArray  # (num_columns,) over all pairs of models in the same stratum
    by_stratum: FloatArray  # (num_strata, num_columns)
    strata: FloatArray  # (N,) number of each model's stratum, from 0; NaN if the third quantity is missing


def partial_kendall(
    columns: ArrayLike,
    gap: ArrayLike,
    third: ArrayLike,
    seed: int = 0,
    cells: ArrayLike | None = None,
    draws: int = NUM_DRAWS,
) -> KendallPartial:
    """Kendall's partial τ, for comparison with the literature; no claim should rest on it.

    τ_xy·z = (τ_xy − τ_xz τ_yz) / sqrt((1 − τ_xz²)(1 − τ_yz²)) (Kendall 1942). It has a known flaw: it is not 0 for two
    quantities that agree only through z (for normal variables with correlations .89 and −.89 to z it is −.18).
    `partial_tau` does not have this flaw. Cost: three times that of `kendall_taus`.

    Args:
        columns: (N, num_columns) measures.
        gap, third: (N,) the gap, and the quantity that it may merely reflect: the training loss.
        seed, cells, draws: of the bootstrap, as for `kendall_tau`.

    Raises:
        AnalysisError: the lengths differ.
    """
    sums, z = _beside(columns, gap, third)
    # All three τ use the same models: those with a value in the column, the gap and the third quantity.
    x = np.where(sums.present & np.isfinite(z)[:, None], sums.columns, math.nan)
    x_with_gap, x_with_z = PairSums(x, sums.gap), PairSums(x, z)
    known, of_column = np.unique(np.isfinite(x), axis=1, return_inverse=True)
    gap_with_z = PairSums(np.where(known, sums.gap[:, None], math.nan), z)
    resampling = Resampling.of(sums.n, seed, draws, cells)
    xy, xz, yz = (pair.weighted_tau(resampling.multiplicities) for pair in (x_with_gap, x_with_z, gap_with_z))
    yz = yz[:, of_column]
    tau, left_out, drawn = resampling.split(_partial(xy, xz, yz))
    defined = (np.isfinite(x).sum(axis=0) >= MIN_FOR_INTERVAL) & np.isfinite(tau)
    low, high = interval(drawn)
    stderr, low, high = (np.where(defined, values, math.nan) for values in (jackknife_stderr(left_out), low, high))
    return KendallPartial(xz[0], tau, stderr, low, high)


def _beside(columns: ArrayLike, gap: ArrayLike, third: ArrayLike) -> tuple[PairSums, FloatArray]:
    """Sums over pairs of the columns and the gap, and the third quantity (N,) of the same models."""
    z = np.asarray(third, dtype=np.float64).ravel()
    sums = PairSums(columns, gap)
    if z.size != sums.n:
        raise AnalysisError(f"gap and third must have the same length; got {sums.n} and {z.size}")
    return sums, z


def _partial(xy: FloatArray, xz: FloatArray, yz: FloatArray) -> FloatArray:
    """(xy − xz·yz) / sqrt((1 − xz²)(1 − yz²)); NaN if z determines x or y."""
    remainder = (1 - xz**2) * (1 - yz**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        partial: FloatArray = np.where(remainder > LEAST_REMAINDER, (xy - xz * yz) / np.sqrt(remainder), math.nan)
    return partial


def stratified_kendall(
    columns: ArrayLike, gap: ArrayLike, third: ArrayLike, num_strata: int = NUM_STRATA
) -> StratifiedTau:
    """τ_b among models with similar values of a third quantity; the strata are its quantile groups, of equal size.

    Args:
        columns, gap, third: as for `partial_kendall`.
        num_strata: number of groups.

    Raises:
        AnalysisError: the lengths differ.
    """
    sums, z = _beside(columns, gap, third)
    known = np.isfinite(z)
    strata = np.full(z.size, math.nan)
    if known.any():
        edges = np.quantile(z[known], np.linspace(0, 1, num_strata + 1)[1:-1])
        strata[known] = np.searchsorted(edges, z[known], side="left")
    by_stratum = []
    top, untied_x, untied_y = (np.zeros(sums.num_columns) for _ in range(3))
    for stratum in range(num_strata):
        inside = PairSums(sums.columns[strata == stratum], sums.gap[strata == stratum])
        by_stratum.append(inside.weighted_tau(np.ones((1, inside.n)))[0])
        x, y = inside.untied_pairs()
        top, untied_x, untied_y = top + inside.concordance(np.ones((1, inside.n)))[0], untied_x + x, untied_y + y
    with np.errstate(invalid="ignore", divide="ignore"):
        tau = np.where(untied_x * untied_y > 0, top / np.sqrt(untied_x * untied_y), math.nan)
    return StratifiedTau(tau, np.array(by_stratum), strata)
