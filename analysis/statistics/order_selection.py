"""Choosing the order (or ρ) by its τ, and what is left of that τ when the choice is paid for.

The paper plots, for each layer, the order with the highest τ. A maximum over many columns is positive even where no
column has anything to do with the gap. Two remedies: score each pair of models with the column that is best on the
other models (`nested_order_tau`), and compare the maximum with maxima under permuted gaps (`max_permutation_test`).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import AnalysisError
from analysis.statistics.kendall import MIN_FOR_INTERVAL
from analysis.statistics.pairs import CHUNK, EXACT_IN_SINGLE, PairSums, sign_of_difference
from analysis.statistics.resampling import NUM_DRAWS, FloatArray, IntArray, bootstrap_multiplicities, permutations

NORMAL_QUANTILE = 1.959964
NESTED_DRAWS = (50, 200)  # enough for a standard error
NESTED_PAIRS = 20_000  # that a draw of the standard error looks at: all of them up to N = 200
NESTED_WORK = 1e8  # draws · pairs · columns that are spent before the draws become fewer


@dataclass(frozen=True)
class NestedTau:
    """τ of a measure whose order is chosen for each pair on the other models only. NaN where it is not defined."""

    tau: float
    stderr: float  # bootstrap over models, the choice made anew in each draw
    ci_low: float  # 95 %: τ ± 1.96 stderr, within [−1, 1]
    ci_high: float
    chosen: dict[int, float]  # share of the pairs that chose each column, most often chosen first
    n: int  # models with a gap and at least one column


@dataclass(frozen=True)
class MaxTau:
    """The highest τ of several columns, and how often chance alone gets as high."""

    tau: float  # NaN where no column has a τ
    column: int  # the one that has it; −1 where none has
    p_value: float  # one-sided; its null repeats the maximization


def nested_order_tau(columns: ArrayLike, gap: ArrayLike, seed: int = 0, cells: ArrayLike | None = None) -> NestedTau:
    """Leave-pair-out τ: for each pair the column of highest τ_b on the other N−2 models scores the pair.

    τ = Σ_{i<j} s^{c(i,j)}_ij s^g_ij over sqrt of the untied pairs, as in τ_b, with c(i,j) = argmax_c τ_b of column c
    without i and j. With no association the two gaps of a pair are as likely in either order whatever the others
    say, so the mean is exactly 0. Cost O(N² · num_columns) for τ; 50 to 200 times as much, N ≤ 200, for its error.

    The standard error repeats the whole procedure in each bootstrap draw, a pair being scored without any copy of its
    two models, so it holds what the choice adds where it jumps about. In simulations its interval covered 94 to 95 %
    with no association (N = 30 to 90, 10 to 32 neighbouring orders) and 96 to 98 % with τ ≤ .35.

    Args:
        columns: (N, num_columns) one measure at each order (or ρ); a pair is scored by columns that have it.
        gap: (N,) values.
        seed, cells: of the bootstrap, as for `kendall_tau`.

    Raises:
        AnalysisError: columns and gap differ in length, or there is no column.
    """
    sums = PairSums(columns, gap)
    if not sums.num_columns:
        raise AnalysisError("columns is empty: give at least one order to choose from")
    n = int(sums.present.any(axis=1).sum())
    nested = _LeavePairOut(sums)
    i, j = np.triu_indices(sums.n, 1)
    (tau,), counts = nested.tau(np.ones((1, sums.n)), i, j)
    scored = np.flatnonzero(counts if math.isfinite(tau) else counts * 0)
    shares = {int(c): float(counts[c] / counts.sum()) for c in sorted(scored, key=lambda c: -counts[c])}
    stderr = math.nan
    if n >= MIN_FOR_INTERVAL and math.isfinite(tau):
        some = np.random.default_rng(seed).permutation(len(i))[:NESTED_PAIRS]
        draws = int(np.clip(NESTED_WORK / (len(some) * sums.num_columns), *NESTED_DRAWS))
        drawn, _ = nested.tau(bootstrap_multiplicities(sums.n, seed, draws, cells), i[some], j[some])
        stderr = float(np.std(drawn[np.isfinite(drawn)], ddof=1)) if np.isfinite(drawn).sum() > 1 else math.nan
    low, high = (float(np.clip(tau + z * stderr, -1, 1)) for z in (-NORMAL_QUANTILE, NORMAL_QUANTILE))
    return NestedTau(float(tau), stderr, low, high, shares, n)


def max_permutation_test(observed: FloatArray, permuted: FloatArray) -> MaxTau:
    """The highest of several τ against the highest under each permutation of the gap.

    p = (1 + #{b: max_c τ^b_c ≥ max_c τ_c}) / (1 + draws), so the freedom to choose the column is in the null too.

    Args:
        observed: (num_columns,) τ of each column; NaN ones are left out.
        permuted: (draws, num_columns) τ of the same columns with permuted gaps, from `permuted_taus`.
    """
    if not np.isfinite(observed).any():
        return MaxTau(math.nan, -1, math.nan)
    column = int(np.nanargmax(observed))
    tau = float(observed[column])
    highest = np.max(np.where(np.isfinite(permuted), permuted, -np.inf), axis=1)
    return MaxTau(tau, column, float((1 + (highest >= tau - 1e-12).sum()) / (1 + len(permuted))))


def adjusted_p_values(observed: FloatArray, permuted: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two-sided permutation p-values of each τ: by itself, and adjusted for the number of columns looked at.

    The adjusted one compares |τ| with the largest |τ| over all columns in each permutation (Westfall and Young's
    single-step maximum), so the chance of any false claim stays below the level, however the columns depend on each
    other.

    Args:
        observed: (num_columns,); NaN stays NaN.
        permuted: (draws, num_columns) from `permuted_taus`.

    Returns:
        Two (num_columns,) arrays.
    """
    strength = np.abs(observed)
    null = np.where(np.isfinite(permuted) & np.isfinite(observed), np.abs(permuted), 0.0)
    largest = null.max(axis=1, initial=0.0)[:, None]
    told = np.isfinite(observed)
    alone, adjusted = (
        np.where(told, (1 + (values >= strength - 1e-12).sum(axis=0)) / (1 + len(permuted)), math.nan)
        for values in (null, largest)
    )
    return alone, adjusted


def permuted_taus(
    columns: ArrayLike, gap: ArrayLike, seed: int = 0, cells: ArrayLike | None = None, draws: int = NUM_DRAWS
) -> FloatArray:
    """τ_b of every column with randomly reassigned gaps: what no association looks like on these very values.

    Args:
        columns, gap: (N, num_columns) and (N,). Models without a gap must have been dropped.
        seed, cells, draws: of the permutations.

    Returns:
        (draws, num_columns). Cost as that of the bootstrap.
    """
    sums = PairSums(columns, gap)
    return sums.permuted_tau(permutations(sums.n, seed, draws, cells))


class _LeavePairOut:
    """Scores pairs of models with the column that is best without them, in any bootstrap draw.

    In a draw the column of highest τ_b on the draw without any copy of models i and j scores the m_i m_j pairs of the
    two. All sums are of small whole numbers, so single precision is exact where it holds them.
    """

    def __init__(self, sums: PairSums) -> None:
        self._sums = sums
        self._exact: type[np.floating] = np.float32 if sums.alike and sums.n <= EXACT_IN_SINGLE else np.float64

    def tau(self, multiplicities: FloatArray, i: IntArray, j: IntArray) -> tuple[FloatArray, IntArray]:
        """τ of each draw over the pairs (i, j), and how many pairs of all draws chose each column.

        Args:
            multiplicities: (draws, N) how often each model is in each draw.
            i, j: (num_pairs,) pairs of models.

        Returns:
            (draws,) τ, NaN where no pair can be scored; (num_columns,) counts.
        """
        m = multiplicities.astype(self._exact)
        by_model = self._by_model(m)
        sums = np.zeros((3, len(m)))  # scores, untied in the column, untied in the gap
        counts = np.zeros(self._sums.num_columns, dtype=np.intp)
        size = max(CHUNK // 4 // self._sums.num_columns, 1)
        for start in range(0, len(i), size):
            first, second = i[start : start + size], j[start : start + size]
            kinds = self._signs(first, second)
            for draw, weights in enumerate(m):
                pairs = weights[first] * weights[second]
                best, usable = self._best([of_draw[draw] for of_draw in by_model], first, second, pairs, kinds)
                pairs = pairs * usable
                scored = np.arange(len(pairs))
                sums[:, draw] += [(pairs * kind[scored, best]).sum(dtype=np.float64) for kind in kinds]
                counts += np.bincount(best[pairs > 0], minlength=len(counts))
        with np.errstate(invalid="ignore", divide="ignore"):
            tau: FloatArray = np.where(sums[1] * sums[2] > 0, sums[0] / np.sqrt(sums[1] * sums[2]), math.nan)
        return tau, counts

    def _signs(self, i: IntArray | int, j: IntArray) -> list[NDArray[np.floating]]:
        """(num_pairs, num_columns) of pairs of models: concordance, untied in the column, untied in the gap."""
        sums = self._sums
        shared = sums.present[i] & sums.present[j]
        x = sign_of_difference(sums.columns[i], sums.columns[j], self._exact) * shared
        y = sign_of_difference(sums.gap[i], sums.gap[j], self._exact)[..., None] * shared
        return [x * y, np.abs(x), np.abs(y)]

    def _by_model(self, m: NDArray[np.floating]) -> list[NDArray[np.floating]]:
        """Three of (draws, N, num_columns): what the pairs of each model's copies add to the draw's sums."""
        everyone = np.arange(self._sums.n)
        rows = [[m @ kind for kind in self._signs(model, everyone)] for model in range(self._sums.n)]
        return [m[:, :, None] * np.stack(kind, axis=1) for kind in zip(*rows, strict=True)]

    def _best(
        self,
        by_model: list[NDArray[np.floating]],
        i: IntArray,
        j: IntArray,
        pairs: NDArray[np.floating],
        kinds: list[NDArray[np.floating]],
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        """(num_pairs,) the column that is best without both models, and whether there is one."""
        if self._sums.alike:  # the denominators are the same for all columns: the numerators decide
            by_model, kinds = by_model[:1], kinds[:1]
        rest = [
            sums.sum(axis=0) / 2 - sums[i] - sums[j] + pairs[:, None] * kind
            for sums, kind in zip(by_model, kinds, strict=True)
        ]
        if self._sums.alike:
            return rest[0].argmax(axis=1), np.ones(len(pairs), dtype=bool)
        with np.errstate(invalid="ignore", divide="ignore"):
            tau = np.where(rest[1] * rest[2] > 0, rest[0] / np.sqrt(rest[1] * rest[2]), -np.inf)
        tau[~(self._sums.present[i] & self._sums.present[j])] = -np.inf
        best = tau.argmax(axis=1)
        return best, np.isfinite(tau[np.arange(len(best)), best])
