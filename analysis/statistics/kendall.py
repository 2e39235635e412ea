"""Kendall's rank correlation, with ties, missing values and intervals."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.statistics.pairs import PairSums
from analysis.statistics.resampling import (
    NUM_DRAWS,
    FloatArray,
    Resampling,
    jackknife_stderr,
)

MIN_FOR_INTERVAL = 5  # models; with fewer the spread is unknown
LEVEL = (0.025, 0.975)


@dataclass(frozen=True)
class KendallTau:
    """Rank agreement of two quantities over the same models. NaN if undefined."""

    tau_b: float  # without tied pairs in the denominators: the one reported
    tau_a: float  # tied pairs count 0 and stay in the denominator (Rényi Sharpness, eq. 8)
    n: int  # models with both values
    ties: int  # pairs of models tied in either value
    missing: int  # models without one of the values
    stderr: float  # jackknife over models, of tau_b
    ci_low: float  # 95 % percentile bootstrap of tau_b over models; NaN with fewer than 5 models
    ci_high: float


@dataclass(frozen=True)
class KendallTaus:
    """As `KendallTau`, for many columns and one gap; each field has one entry for each column."""

    tau_b: FloatArray  # (num_columns,)
    tau_a: FloatArray
    n: NDArray[np.intp]
    ties: NDArray[np.intp]
    missing: NDArray[np.intp]
    stderr: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    draws: FloatArray  # (num_draws, num_columns) the bootstrap's own values, paired over columns
    left_out: FloatArray  # (num_cells, num_columns) the jackknife's: without each model, or cell


def kendall_tau(x: ArrayLike, y: ArrayLike, seed: int = 0, cells: ArrayLike | None = None) -> KendallTau:
    """Kendall's τ_b and τ_a of two quantities, with jackknife standard error and bootstrap interval of τ_b.

    τ_a = Σ_{i<j} s^x_ij s^y_ij / (N(N−1)/2) with s_ij = sign(v_i − v_j); τ_b divides the same sum by
    sqrt(Σ|s^x_ij| · Σ|s^y_ij|). In a bootstrap draw, pairs of a model with its own copy are ignored; otherwise they
    would count as ties. Cost: O(N²) for each of 2 000 draws.

    Args:
        x, y: (N,) values; NaN or infinite ones are missing, and their models are dropped and counted.
        seed: seed of the bootstrap; the same seed resamples the same models for every measure.
        cells: (N,) labels; models of one cell are resampled together.

    Raises:
        AnalysisError: x and y differ in length.

    >>> import renyi
    >>> tau = renyi.kendall_tau([1, 2, 3, 4], [1, 3, 2, 4])
    >>> round(tau.tau_b, 3), tau.n
    (0.667, 4)
    """
    taus = kendall_taus(np.asarray(x, dtype=np.float64).ravel(), y, seed, cells)
    return KendallTau(
        float(taus.tau_b[0]),
        float(taus.tau_a[0]),
        int(taus.n[0]),
        int(taus.ties[0]),
        int(taus.missing[0]),
        float(taus.stderr[0]),
        float(taus.ci_low[0]),
        float(taus.ci_high[0]),
    )


def kendall_taus(
    columns: ArrayLike, gap: ArrayLike, seed: int = 0, cells: ArrayLike | None = None, draws: int = NUM_DRAWS
) -> KendallTaus:
    """`kendall_tau` of each column with one gap, computed in a few matrix products.

    Args:
        columns: (N, num_columns) values.
        gap: (N,) values.
        seed, cells: as for `kendall_tau`.
        draws: number of bootstrap draws. Cost: draws · N²/2 · num_columns multiplications, exact in single precision.

    Raises:
        AnalysisError: columns and gap differ in length.
    """
    sums = PairSums(columns, gap)
    n = sums.present.sum(axis=0)
    pairs = n * (n - 1) / 2
    resampling = Resampling.of(sums.n, seed, draws, cells)
    concordance = sums.concordance(resampling.multiplicities)
    with np.errstate(invalid="ignore", divide="ignore"):
        tau_a = np.where(pairs > 0, concordance[0] / pairs, math.nan)
    tau_b, left_out, drawn = resampling.split(sums.weighted_tau(resampling.multiplicities, concordance))
    low, high = interval(drawn)
    # Too few models, or a constant column: no interval.
    defined = (n >= MIN_FOR_INTERVAL) & np.isfinite(tau_b)
    return KendallTaus(
        tau_b,
        tau_a,
        n,
        (pairs - np.round(_untied_in_both(sums))).astype(np.intp),
        sums.n - n,
        np.where(defined, jackknife_stderr(left_out), math.nan),
        np.where(defined, low, math.nan),
        np.where(defined, high, math.nan),
        drawn,
        left_out,
    )


def interval(draws: FloatArray) -> tuple[FloatArray, FloatArray]:
    """95 % percentile interval of each column over its draws; draws without a value are left out.

    Args:
        draws: (num_draws, …).
    """
    if draws.size == 0:
        return np.full(draws.shape[1:], math.nan), np.full(draws.shape[1:], math.nan)
    whole = np.isfinite(draws).all(axis=0)
    bounds = np.full((2, *draws.shape[1:]), math.nan)
    bounds[:, whole] = np.quantile(draws[:, whole], LEVEL, axis=0)
    for index in np.flatnonzero(~whole & np.isfinite(draws).any(axis=0)):
        column = draws[:, index]
        bounds[:, index] = np.quantile(column[np.isfinite(column)], LEVEL)
    return bounds[0], bounds[1]


def _untied_in_both(sums: PairSums) -> FloatArray:
    """(num_columns,) number of pairs that are tied neither in the column nor in the gap."""
    counts = np.zeros(sums.num_columns)
    for model in range(sums.n):
        differs = (sums.columns != sums.columns[model]) & sums.present & sums.present[model]
        counts += ((sums.gap != sums.gap[model])[:, None] & differs).sum(axis=0)
    return counts / 2
