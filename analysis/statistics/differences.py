"""Whether two measures differ: paired differences of τ on the same models, and Holm's correction over several."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from analysis.errors import AnalysisError
from analysis.statistics.kendall import MIN_FOR_INTERVAL, interval
from analysis.statistics.pairs import PairSums, as_columns, sign_of_difference
from analysis.statistics.resampling import (
    NUM_DRAWS,
    FloatArray,
    bootstrap_multiplicities,
    cell_index,
    jackknife_multiplicities,
    jackknife_stderr,
)

MOST_ENUMERATED = 12  # models, or cells; up to here all 2ⁿ swaps are taken instead of random ones


@dataclass(frozen=True)
class TauDifference:
    """τ_b of one measure less that of another, over the models that have both. NaN where it is not defined."""

    tau_x: float
    tau_y: float
    difference: float  # tau_x − tau_y
    stderr: float  # paired jackknife over models
    ci_low: float  # 95 % percentile interval, both measures in the same bootstrap draws
    ci_high: float
    p_value: float  # two-sided paired permutation test
    n: int


def tau_difference(
    x: ArrayLike,
    y: ArrayLike,
    gap: ArrayLike,
    seed: int = 0,
    cells: ArrayLike | None = None,
    draws: int = NUM_DRAWS,
) -> TauDifference:
    """The difference of two measures' τ_b with the gap, its uncertainty, and a test of its being zero.

    The test turns both measures into ranks, swaps the two ranks of each model with probability ½, and takes the
    difference again; its statistic is that of the concordance sums, Σ s^g_ij (s^x_ij − s^y_ij). Cost: O(N²) once for
    the test, and for the interval twice that of `kendall_tau`.

    Args:
        x, y, gap: (N,) values; models that miss one are dropped.
        seed: seed of the bootstrap and of the swaps.
        cells: (N,) labels; models of one cell are resampled together.
        draws: bootstrap draws, and random swaps (all 2^N swaps where N ≤ 12).

    Raises:
        AnalysisError: the lengths differ.
    """
    a, b, g = (np.asarray(values, dtype=np.float64).ravel() for values in (x, y, gap))
    if not a.size == b.size == g.size:
        raise AnalysisError(f"x, y and gap must have the same length; got {a.size}, {b.size} and {g.size}")
    kept = np.isfinite(a) & np.isfinite(b) & np.isfinite(g)
    n = int(kept.sum())
    labels = None if cells is None else np.asarray(cells).ravel()[kept]
    sums = PairSums(np.stack([a[kept], b[kept]], axis=1), g[kept])
    tau_x, tau_y = sums.weighted_tau(np.ones((1, n)))[0]
    difference = float(tau_x - tau_y)
    if n < MIN_FOR_INTERVAL or not math.isfinite(difference):
        return TauDifference(float(tau_x), float(tau_y), difference, math.nan, math.nan, math.nan, math.nan, n)
    left_out = sums.weighted_tau(jackknife_multiplicities(n, labels))
    drawn = sums.weighted_tau(bootstrap_multiplicities(n, seed, draws, labels))
    low, high = interval((drawn[:, 0] - drawn[:, 1])[:, None])
    p_value = swap_test(a[kept][:, None], b[kept][:, None], g[kept], seed, draws, labels)[0]
    stderr = jackknife_stderr(left_out[:, 0] - left_out[:, 1])
    return TauDifference(
        float(tau_x), float(tau_y), difference, float(stderr), float(low[0]), float(high[0]), float(p_value), n
    )


def swap_test(
    x: ArrayLike,
    y: ArrayLike,
    gap: ArrayLike,
    seed: int = 0,
    draws: int = NUM_DRAWS,
    cells: ArrayLike | None = None,
) -> FloatArray:
    """Two-sided p-values of the paired permutation test for many pairs of measures at once.

    With e_i = −1 for a swapped model and +1 for the others, the swapped statistic is linear in e: it is Σ_i e_i·c_i,
    c_i = ½ Σ_j s^g_ij [(s(x_i−x_j) − s(y_i−y_j)) + (s(x_i−y_j) − s(y_i−x_j))] over ranks. So a swap costs O(N).

    Args:
        x, y: (N, num_pairs) complete columns; column k of x is tested against column k of y.
        gap: (N,) values.
        seed, draws: of the random swaps; with N ≤ 12 all 2^N are taken.
        cells: (N,) labels; models of one cell are swapped together.

    Returns:
        (num_pairs,) p-values; the identity counts as one of the swaps, so none is 0.
    """
    ranks_x, ranks_y = rankdata(as_columns(x), axis=0), rankdata(as_columns(y), axis=0)
    g = np.asarray(gap, dtype=np.float64).ravel()
    n = g.size
    contributions = np.empty(ranks_x.shape)
    for i in range(n):
        straight = sign_of_difference(ranks_x[i], ranks_x) - sign_of_difference(ranks_y[i], ranks_y)
        crossed = sign_of_difference(ranks_x[i], ranks_y) - sign_of_difference(ranks_y[i], ranks_x)
        contributions[i] = sign_of_difference(g[i], g) @ (straight + crossed) / 2
    labels = cell_index(n, cells)
    size = int(labels.max(initial=-1)) + 1
    contributions = (np.arange(size)[:, None] == labels).astype(np.float64) @ contributions
    enumerated = size <= MOST_ENUMERATED
    swaps = (
        np.array(list(itertools.product((1.0, -1.0), repeat=size)))
        if enumerated
        else np.random.default_rng(seed).choice((1.0, -1.0), size=(draws, size))
    )
    observed = np.abs(contributions.sum(axis=0))
    # Sums of half-integers: exact, up to a hair for safety.
    as_extreme = (np.abs(swaps @ contributions) >= observed - 1e-9).sum(axis=0)
    p_values: FloatArray = as_extreme / len(swaps) if enumerated else (1 + as_extreme) / (1 + len(swaps))
    return p_values


def holm(p_values: ArrayLike) -> FloatArray:
    """Holm's adjusted p-values: compared with a level, they keep the chance of any false claim below it.

    p̃_(k) = max_{j ≤ k} min(1, (m − j + 1)·p_(j)) in ascending order; NaN stays NaN and is not counted.
    """
    p = np.asarray(p_values, dtype=np.float64).ravel()
    adjusted = np.full(p.shape, math.nan)
    order = np.argsort(p)[: int(np.isfinite(p).sum())]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted
