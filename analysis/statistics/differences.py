"""Whether two measures differ: paired differences of τ on the same models, and Holm's correction over several."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from analysis.errors import AnalysisError
from analysis.statistics.kendall import MIN_FOR_INTERVAL, interval
from analysis.statistics.pairs import PairSums, TiePatterns, as_columns, levels, sign_of_difference
from analysis.statistics.resampling import (
    NUM_DRAWS,
    FloatArray,
    IntArray,
    Resampling,
    cell_index,
    jackknife_stderr,
)

MOST_ENUMERATED = 12  # models, or cells; up to this number all 2ⁿ swaps are used instead of random ones
SWAPS_AT_ONCE = 4000
SWAPS_PER_COMPARISON = 200  # so that p-values can be small enough for Holm's correction


@dataclass(frozen=True)
class TauDifference:
    """τ_b of one measure less that of another, over the models that have both. NaN if undefined."""

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
    """The difference of two measures' τ_b with the gap, with its uncertainty and a test that it is zero.

    The test turns both measures into ranks, swaps the two ranks of each model with probability ½, and computes the
    difference of the normalized concordance sums again (`swap_test`). Cost: O(N²) once for the test, and for the
    interval twice that of `kendall_tau`.

    Args:
        x, y, gap: (N,) values; models without one of them are dropped.
        seed: seed of the bootstrap and of the swaps.
        cells: (N,) labels; models of one cell are resampled together.
        draws: number of bootstrap draws, and of random swaps (all 2^N swaps if N ≤ 12).

    Raises:
        AnalysisError: the lengths differ.
    """
    a, b = (np.asarray(values, dtype=np.float64).ravel() for values in (x, y))
    if a.size != b.size:
        raise AnalysisError(f"x and y must have the same length; got {a.size} and {b.size}")
    return tau_differences(np.stack([a, b], axis=1), gap, [(0, 1)], seed, cells, draws)[0]


def tau_differences(
    columns: ArrayLike,
    gap: ArrayLike,
    pairs: Sequence[tuple[int, int]],
    seed: int = 0,
    cells: ArrayLike | None = None,
    draws: int = NUM_DRAWS,
) -> list[TauDifference]:
    """`tau_difference` of many pairs of columns, in a few matrix products.

    Args:
        columns: (N, num_columns) measures.
        gap, seed, cells, draws: as for `tau_difference`.
        pairs: (x, y) column numbers of each comparison. Pairs with the same missing models are computed together. At
            least 200 swaps per comparison are drawn, so that p-values can be small enough for Holm's correction.

    Raises:
        AnalysisError: the lengths differ.
    """
    sums = PairSums(columns, gap)
    labels = cell_index(sums.n, cells)
    groups: dict[bytes, list[int]] = {}
    for index, (x, y) in enumerate(pairs):
        groups.setdefault((sums.present[:, x] & sums.present[:, y]).tobytes(), []).append(index)
    found: dict[int, TauDifference] = {}
    for mask, members in groups.items():
        kept = np.frombuffer(mask, dtype=np.bool_)
        chosen = np.array([pairs[index] for index in members])  # (num_pairs, 2)
        used, position = np.unique(chosen, return_inverse=True)
        group = PairSums(sums.columns[kept][:, used], sums.gap[kept])
        swaps = max(draws, SWAPS_PER_COMPARISON * len(pairs))
        differences = _differences(group, position.reshape(-1, 2), labels[kept], seed, draws, swaps)
        found |= dict(zip(members, differences, strict=True))
    return [found[index] for index in range(len(pairs))]


def _differences(
    sums: PairSums, pairs: IntArray, cells: IntArray, seed: int, draws: int, swaps: int
) -> list[TauDifference]:
    """The comparisons of pairs of columns without missing values."""
    x, y = pairs.T
    resampling = Resampling.of(sums.n, seed, draws, cells)
    tau, left_out, drawn = resampling.split(sums.weighted_tau(resampling.multiplicities))
    if sums.n < MIN_FOR_INTERVAL:
        nothing = (math.nan,) * 4
        return [TauDifference(float(tau[i]), float(tau[j]), float(tau[i] - tau[j]), *nothing, sums.n) for i, j in pairs]
    stderr = jackknife_stderr(left_out[:, x] - left_out[:, y])
    low, high = interval(drawn[:, x] - drawn[:, y])
    p_values = swap_test(sums.columns[:, x], sums.columns[:, y], sums.gap, seed, swaps, cells)
    defined = np.isfinite(tau[x] - tau[y])
    stderr, low, high, p_values = (np.where(defined, values, math.nan) for values in (stderr, low, high, p_values))
    return [
        TauDifference(
            float(tau[i]),
            float(tau[j]),
            float(tau[i] - tau[j]),
            float(stderr[index]),
            float(low[index]),
            float(high[index]),
            float(p_values[index]),
            sums.n,
        )
        for index, (i, j) in enumerate(pairs)
    ]


def swap_test(
    x: ArrayLike,
    y: ArrayLike,
    gap: ArrayLike,
    seed: int = 0,
    draws: int = NUM_DRAWS,
    cells: ArrayLike | None = None,
) -> FloatArray:
    """Two-sided p-values of the paired permutation test for many pairs of measures at once.

    The statistic is the difference of the two concordance sums, each over the square root of the column's untied pairs,
    as in τ_b: T = C_x/√U_x − C_y/√U_y. Without these roots a column with few levels loses against one without ties even
    where both have the same τ_b. With e_i = −1 for a swapped model and +1 for the others, the swapped statistic is
    linear in e: it is Σ_i e_i·c_i over ranks, c_i = ½ Σ_j s^g_ij [s(x_i−x_j)/√U_x − s(y_i−y_j)/√U_y + s(x_i−y_j)/√U −
    s(y_i−x_j)/√U], where U is the geometric mean of U_x and U_y. So a swap costs O(N).

    Args:
        x, y: (N, num_pairs) columns without missing values; column k of x is tested against column k of y.
        gap: (N,) values.
        seed, draws: of the random swaps; with N ≤ 12 all 2^N are used.
        cells: (N,) labels; models of one cell are swapped together.

    Returns:
        (num_pairs,) p-values; the identity counts as one of the swaps, so none is 0. 1 where a column is constant.
    """
    ranks_x, ranks_y = rankdata(as_columns(x), axis=0), rankdata(as_columns(y), axis=0)
    g = np.asarray(gap, dtype=np.float64).ravel()
    n = g.size
    scale_x, scale_y = _inverse_root_of_untied(ranks_x), _inverse_root_of_untied(ranks_y)
    scale = np.sqrt(scale_x * scale_y)
    contributions = np.empty(ranks_x.shape)
    for i in range(n):
        straight = scale_x * sign_of_difference(ranks_x[i], ranks_x) - scale_y * sign_of_difference(ranks_y[i], ranks_y)
        crossed = sign_of_difference(ranks_x[i], ranks_y) - sign_of_difference(ranks_y[i], ranks_x)
        contributions[i] = sign_of_difference(g[i], g) @ (straight + scale * crossed) / 2
    labels = cell_index(n, cells)
    size = int(labels.max(initial=-1)) + 1
    by_cell = (np.arange(size)[:, None] == labels).astype(np.float64) @ contributions
    observed = np.abs(by_cell.sum(axis=0)) * (1 - 1e-9) - 1e-12  # equal statistics may differ by rounding
    if size <= MOST_ENUMERATED:
        everything = np.array(list(itertools.product((1.0, -1.0), repeat=size)))
        all_p: FloatArray = (np.abs(everything @ by_cell) >= observed).mean(axis=0)
        return all_p
    rng = np.random.default_rng(seed)
    as_extreme = np.ones(by_cell.shape[1])
    for start in range(0, draws, SWAPS_AT_ONCE):
        swaps = rng.choice((1.0, -1.0), size=(min(SWAPS_AT_ONCE, draws - start), size))
        as_extreme += (np.abs(swaps @ by_cell) >= observed).sum(axis=0)
    p_values: FloatArray = as_extreme / (1 + draws)
    return p_values


def _inverse_root_of_untied(ranks: FloatArray) -> FloatArray:
    """(num_pairs,) 1/√(untied pairs) of each column; 0 where all its values are equal."""
    untied = TiePatterns(np.stack([levels(column) for column in ranks.T], axis=1)).untied(np.ones((1, len(ranks))))[0]
    result: FloatArray = np.divide(1, np.sqrt(untied), out=np.zeros(len(untied)), where=untied > 0)
    return result


def holm(p_values: ArrayLike) -> FloatArray:
    """Holm's adjusted p-values: if all below a level are claimed, the chance of any false claim is below that level.

    p̃_(k) = max_{j ≤ k} min(1, (m − j + 1)·p_(j)) in ascending order; NaN stays NaN and is not counted.
    """
    p = np.asarray(p_values, dtype=np.float64).ravel()
    adjusted = np.full(p.shape, math.nan)
    order = np.argsort(p)[: int(np.isfinite(p).sum())]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted
