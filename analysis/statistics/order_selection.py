"""The order (or ρ) of highest τ, and the τ that remains when its choice is accounted for.

The paper plots, for each layer, the order with the highest τ. A maximum over many columns is positive even if no
column is related to the gap. There are two remedies: score each pair of models with the column that is best on the
other models (`nested_order_tau`), and compare the maximum with maxima under permuted gaps (`max_permutation_test`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import AnalysisError
from analysis.statistics.kendall import MIN_FOR_INTERVAL
from analysis.statistics.pairs import CHUNK, PairSums, Signs, as_columns
from analysis.statistics.resampling import NUM_DRAWS, FloatArray, IntArray, bootstrap_multiplicities, permutations

NORMAL_QUANTILE = 1.959964
NESTED_DRAWS = (50, 200)  # enough for a standard error
NESTED_PAIRS = 20_000  # used in each draw of the standard error: all pairs up to N = 200
NESTED_WORK = 1e8  # draws · pairs · columns; above it, fewer draws are made


@dataclass(frozen=True)
class NestedTau:
    """τ of a measure whose order is chosen, for each pair, on the other models only. NaN if undefined."""

    tau: float
    stderr: float  # bootstrap over models, with a new choice in each draw
    ci_low: float  # 95 %: τ ± 1.96 stderr, within [−1, 1]
    ci_high: float
    chosen: dict[int, float]  # share of the pairs that chose each column, the most frequent first
    n: int  # models with a gap and at least one column


@dataclass(frozen=True)
class MaxTau:
    """The highest τ of several columns, and how often chance alone gives such a maximum."""

    tau: float  # NaN if no column has a τ
    column: int  # the column that has it; −1 if none has
    p_value: float  # one-sided; each permutation repeats the maximization


def nested_order_tau(columns: ArrayLike, gap: ArrayLike, seed: int = 0, cells: ArrayLike | None = None) -> NestedTau:
    """Leave-pair-out τ: for each pair the column of highest τ_b on the other N−2 models scores the pair.

    τ = Σ_{i<j} s^{c(i,j)}_ij s^g_ij over sqrt of the untied pairs, as in τ_b, with c(i,j) = argmax_c τ_b of column c
    without i and j. Without association both orders of a pair's gaps are equally likely, whatever the other models
    show, so the mean is exactly 0. Cost: O(N² · num_columns) for τ, and 50 to 200 times that for its error (N ≤ 200).

    The standard error repeats the whole procedure in each bootstrap draw; a pair is scored without any copy of its two
    models. So it includes the variation of the choice. In simulations its interval covered 94 to 95 % without
    association (N = 30 to 90, 10 to 32 neighbouring orders) and 96 to 98 % with τ ≤ .35.

    Args:
        columns: (N, num_columns) one measure at each order (or ρ); a pair is scored by columns with values for both.
        gap: (N,) values.
        seed, cells: of the bootstrap, as for `kendall_tau`.

    Raises:
        AnalysisError: columns and gap differ in length, or there is no column.
    """
    every = np.arange(as_columns(columns).shape[1])
    return nested_order_taus(columns, gap, [every], seed, cells)[0]


def nested_order_taus(
    columns: ArrayLike,
    gap: ArrayLike,
    choices: Sequence[IntArray],
    seed: int = 0,
    cells: ArrayLike | None = None,
) -> list[NestedTau]:
    """`nested_order_tau` of several choices among the same columns: the orders of one layer, of another, of all layers.

    Args:
        columns, gap, seed, cells: as for `nested_order_tau`.
        choices: for each choice the numbers of its columns; `chosen` refers to positions among them.

    Raises:
        AnalysisError: columns and gap differ in length, or a choice is empty.
    """
    sums = PairSums(columns, gap)
    if not all(len(choice) for choice in choices):
        raise AnalysisError("columns is empty: give at least one order to choose from")
    nested = _LeavePairOut(sums, choices)
    i, j = np.triu_indices(sums.n, 1)
    whole = nested.taus(np.ones((1, sums.n)), [1] * len(choices), i, j)
    some = np.random.default_rng(seed).permutation(len(i))[:NESTED_PAIRS]
    draws = [int(np.clip(NESTED_WORK / max(len(some) * len(choice), 1), *NESTED_DRAWS)) for choice in choices]
    drawn = nested.taus(bootstrap_multiplicities(sums.n, seed, max(draws), cells), draws, i[some], j[some])
    return [
        _nested_tau(float(tau), counts, resampled, int(sums.present[:, choice].any(axis=1).sum()))
        for choice, ((tau,), counts), (resampled, _) in zip(choices, whole, drawn, strict=True)
    ]


def _nested_tau(tau: float, counts: IntArray, resampled: FloatArray, n: int) -> NestedTau:
    """The estimate of one choice, from its τ, the counts of chosen columns, and its bootstrap."""
    scored = np.flatnonzero(counts if math.isfinite(tau) else counts * 0)
    shares = {int(c): float(counts[c] / counts.sum()) for c in sorted(scored, key=lambda c: -counts[c])}
    known = resampled[np.isfinite(resampled)]
    defined = n >= MIN_FOR_INTERVAL and math.isfinite(tau) and len(known) > 1
    stderr = float(np.std(known, ddof=1)) if defined else math.nan
    low, high = (float(np.clip(tau + z * stderr, -1, 1)) for z in (-NORMAL_QUANTILE, NORMAL_QUANTILE))
    return NestedTau(tau, stderr, low, high, shares, n)


def max_permutation_test(observed: FloatArray, permuted: FloatArray) -> MaxTau:
    """Test the highest of several τ against the highest under each permutation of the gap.

    p = (1 + #{b: max_c τ^b_c ≥ max_c τ_c}) / (1 + draws), so the null includes the choice of the column.

    Args:
        observed: (num_columns,) τ of each column; NaN is ignored.
        permuted: (draws, num_columns) τ of the same columns with permuted gaps, from `permuted_taus`.
    """
    if not np.isfinite(observed).any():
        return MaxTau(math.nan, -1, math.nan)
    column = int(np.nanargmax(observed))
    tau = float(observed[column])
    highest = np.max(np.where(np.isfinite(permuted), permuted, -np.inf), axis=1)
    return MaxTau(tau, column, float((1 + (highest >= tau - 1e-12).sum()) / (1 + len(permuted))))


def adjusted_p_values(observed: FloatArray, permuted: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two-sided permutation p-values of each τ: unadjusted, and adjusted for the number of columns.

    The adjusted value compares |τ| with the largest |τ| over all columns in each permutation (Westfall and Young's
    single-step maximum). So the chance of any false claim stays below the level, even if the columns are dependent.

    Args:
        observed: (num_columns,); NaN stays NaN.
        permuted: (draws, num_columns) from `permuted_taus`.

    Returns:
        Two (num_columns,) arrays.
    """
    strength = np.abs(observed)
    null = np.where(np.isfinite(permuted) & np.isfinite(observed), np.abs(permuted), 0.0)
    largest = null.max(axis=1, initial=0.0)[:, None]
    defined = np.isfinite(observed)
    alone, adjusted = (
        np.where(defined, (1 + (values >= strength - 1e-12).sum(axis=0)) / (1 + len(permuted)), math.nan)
        for values in (null, largest)
    )
    return alone, adjusted


def permuted_taus(
    columns: ArrayLike, gap: ArrayLike, seed: int = 0, cells: ArrayLike | None = None, draws: int = NUM_DRAWS
) -> FloatArray:
    """τ_b of every column with randomly reassigned gaps: its null distribution for these values.

    Args:
        columns, gap: (N, num_columns) and (N,). Models without a gap must have been dropped.
        seed, cells, draws: of the permutations.

    Returns:
        (draws, num_columns). The cost is that of the bootstrap.
    """
    sums = PairSums(columns, gap)
    return sums.permuted_tau(permutations(sums.n, seed, draws, cells))


class _LeavePairOut:
    """Scores pairs of models, in any bootstrap draw, with the column that is best without them.

    In a draw, the pairs of copies of models i and j (m_i m_j of them) are scored by the column with the highest τ_b on
    the draw without any copy of these two. All terms are small whole numbers, so their sums are exact.
    """

    def __init__(self, sums: PairSums, choices: Sequence[IntArray]) -> None:
        self._sums = sums
        self._choices = choices
        # If all columns have the same denominator, their numerators rank them.
        self._alike = [sums.alike(choice) for choice in choices]
        # Index, for each column, of its concordance, its untied pairs, and its pairs untied in the gap.
        self._indices = (np.arange(sums.num_columns), sums.in_column.of_column, sums.in_gap.of_column)

    def taus(
        self, multiplicities: FloatArray, draws: Sequence[int], i: IntArray, j: IntArray
    ) -> list[tuple[FloatArray, IntArray]]:
        """τ of each choice and draw over the pairs (i, j), and how often each of its columns was chosen in all draws.

        Args:
            multiplicities: (draws, N) how often each model is in each draw.
            draws: for each choice, how many of the first draws it uses.
            i, j: (num_pairs,) pairs of models.

        Returns:
            For each choice (draws,) τ, NaN if no pair can be scored, and (len(choice),) counts.
        """
        m = multiplicities.astype(self._sums.exact)
        own = self._own(m)
        sums = [np.zeros((3, count)) for count in draws]  # scores, untied in the column, untied in the gap
        counts = np.zeros((len(draws), self._sums.num_columns), dtype=np.intp)
        size = max(CHUNK // self._sums.num_columns, 1)
        for start in range(0, len(i), size):
            block = i[start : start + size], j[start : start + size]
            signs = self._signs(*block)
            for draw, weights in enumerate(m):
                pairs = _Pairs.drawn(weights, *block)
                of_models = [kind[draw] for kind in own]
                for index in (index for index, count in enumerate(draws) if draw < count):
                    best, usable = self._best(index, of_models, pairs, signs)
                    scored = pairs.row[usable]
                    rows = (index_of[best] for index_of in self._indices)
                    found = [kind[row, scored] for kind, row in zip(signs, rows, strict=True)]
                    sums[index][:, draw] += [(pairs.weight[usable] * each).sum(dtype=np.float64) for each in found]
                    counts[index] += np.bincount(best, minlength=self._sums.num_columns)
        with np.errstate(invalid="ignore", divide="ignore"):
            taus = [np.where(x * y > 0, score / np.sqrt(x * y), math.nan) for score, x, y in sums]
        return [(tau, count[choice]) for tau, count, choice in zip(taus, counts, self._choices, strict=True)]

    def _signs(self, i: IntArray, j: IntArray) -> list[Signs]:
        """(…, num_pairs) each: concordance for every column, and untied pairs for every pattern of ties."""
        concordance = np.ascontiguousarray((self._sums.signs(i, j) * self._sums.gap_signs(i, j)[:, None]).T)
        return [concordance, self._sums.in_column.pairs(i, j), self._sums.in_gap.pairs(i, j)]

    def _own(self, m: Signs) -> list[Signs]:
        """(draws, …, N) each: the part of a draw's sums that comes from pairs with a copy of each model."""
        sums = self._sums
        kinds: list[tuple[Callable[[int], Signs], int]] = [(sums.matrix, sums.num_columns)]
        if not all(self._alike):
            kinds += [(patterns.matrix, patterns.count) for patterns in (sums.in_column, sums.in_gap)]
        return [np.stack([m * (m @ matrix(index)) for index in range(count)], axis=1) for matrix, count in kinds]

    def _best(
        self, index: int, own: list[Signs], pairs: "_Pairs", signs: list[Signs]
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        """For each pair the column of a choice that is best, in one draw, without the two models of the pair.

        Returns:
            (num_usable,) numbers of columns, and (num_pairs,) whether any column can score the pair.
        """
        choice = self._choices[index]
        if self._alike[index]:
            likely = choice[_likely(own[0][choice], pairs.weight.max(initial=0))]
            rest = pairs.rest(own[0][likely], signs[0][likely])
            return likely[rest.argmax(axis=0)], np.ones(len(pairs.row), dtype=bool)
        score, untied_x, untied_y = (
            pairs.rest(kind[index_of[choice]], sign[index_of[choice]]).astype(np.float64)
            for kind, sign, index_of in zip(own, signs, self._indices, strict=True)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            tau = np.where(untied_x * untied_y > 0, score / np.sqrt(untied_x * untied_y), -np.inf)
        present = self._sums.present[:, choice].T
        tau[~(present[:, pairs.i] & present[:, pairs.j])] = -np.inf
        usable = np.asarray(np.isfinite(tau).any(axis=0))
        return choice[tau[:, usable].argmax(axis=0)], usable


@dataclass(frozen=True)
class _Pairs:
    """The pairs of models that are in a draw."""

    i: IntArray  # (num_pairs,) models
    j: IntArray
    weight: Signs  # (num_pairs,) m_i m_j
    row: IntArray  # (num_pairs,) their index among all given pairs

    @classmethod
    def drawn(cls, multiplicities: Signs, i: IntArray, j: IntArray) -> "_Pairs":
        weight = multiplicities[i] * multiplicities[j]
        row = np.flatnonzero(weight)
        return cls(i[row], j[row], weight[row], row)

    def rest(self, own: Signs, signs: Signs) -> Signs:
        """(num_columns, num_pairs) a draw's sums over the pairs without i and j.

        Args:
            own: (num_columns, N) the sums over pairs with a copy of each model.
            signs: (num_columns, …) of all given pairs.
        """
        total = (own.sum(axis=1, dtype=np.float64) / 2).astype(own.dtype)  # each pair is in the sums of two models
        # `take` is twice as fast as an index.
        either = own.take(self.i, axis=1) + own.take(self.j, axis=1)
        rest: Signs = total[:, None] - either + self.weight * signs.take(self.row, axis=1)
        return rest


def _likely(own: Signs, most: float) -> IntArray:
    """The columns whose numerator can be the highest without some two models, which make at most `most` pairs.

    Args:
        own: (num_columns, N) the sums over pairs with a copy of each model.
        most: bound on the pairs that two models make with each other.
    """
    total = own.sum(axis=1, dtype=np.float64) / 2
    lowest, highest = total - 2 * own.max(axis=1) - most, total - 2 * own.min(axis=1) + most
    return np.flatnonzero(highest >= lowest.max())
