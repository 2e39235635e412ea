"""Sums over pairs of models, for many columns and many draws at once: the basis of every τ.

With signs s_ij = sign(v_i − v_j) and multiplicities m_i, a draw's τ_b is Σ_{i<j} m_i m_j s^x_ij s^y_ij over
sqrt(Σ m_i m_j |s^x_ij| · Σ m_i m_j |s^y_ij|). The numerators of all draws and columns are one matrix product,
(draws, pairs) @ (pairs, columns). All its terms are small whole numbers, so single precision is exact. Models with
the same multiplicity in every draw, such as those of one cell, are treated as one: their pairs are summed first, and a
grid of ten seeds costs a tenth. The denominators need no pairs: the number of untied pairs is the square of the total
minus the squares of the totals of the tied levels, halved.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import AnalysisError
from analysis.statistics.resampling import FloatArray, IntArray

Signs = NDArray[np.floating]  # whole numbers, in a precision that holds their sums exactly
MISSING = -1  # the level of a model without a value
CHUNK = 1 << 24  # entries of a block of signs: 64 MiB
EXACT_IN_SINGLE = 5000  # models; up to this number Σ m_i m_j ≤ n²/2 < 2²⁴


class PairSums:
    """Columns of values and one gap, prepared for sums over pairs."""

    def __init__(self, columns: ArrayLike, gap: ArrayLike) -> None:
        """Take (n, num_columns) values and (n,) gaps; NaN and infinite entries are missing.

        Raises:
            AnalysisError: the numbers of rows differ.
        """
        self.columns = as_columns(columns)
        self.gap = np.asarray(gap, dtype=np.float64).ravel()
        self.n, self.num_columns = self.columns.shape
        if self.gap.size != self.n:
            raise AnalysisError(f"measure and gap must have the same length; got {self.n} and {self.gap.size}")
        self.present = np.isfinite(self.columns) & np.isfinite(self.gap)[:, None]
        values = np.where(self.present, self.columns, np.nan)
        self.exact: type[np.floating] = np.float32 if self.n <= EXACT_IN_SINGLE else np.float64
        # Differences of ranks have the same signs as those of the values; ranks need half the memory.
        self._ranks = _by_column(_ranks, values).astype(self.exact)
        self._gap_ranks = _ranks(self.gap).astype(self.exact)
        self._gap_levels = levels(self.gap)
        self.in_column = TiePatterns(_by_column(levels, values))
        self.in_gap = TiePatterns(np.where(self.present, self._gap_levels[:, None], MISSING))

    def weighted_tau(self, multiplicities: FloatArray, concordance: FloatArray | None = None) -> FloatArray:
        """τ_b of every column if model i occurs m_i times; pairs of a model with its own copy do not count.

        Args:
            multiplicities: (draws, n) whole numbers. Cost: draws · n·k/2 · columns multiplications, where k ≤ n is the
                number of models with different multiplicities in some draw.
            concordance: (draws, num_columns) of the same draws, if it is already known.

        Returns:
            (draws, num_columns); NaN if a column or the gap is constant in the draw.
        """
        numerator = self.concordance(multiplicities) if concordance is None else concordance
        return _divide(numerator, self.in_column.untied(multiplicities), self.in_gap.untied(multiplicities))

    def permuted_tau(self, permutations: IntArray) -> FloatArray:
        """τ_b of every column if model i gets the gap of model [b, i].

        Args:
            permutations: (draws, n). Cost: draws · n²/2 · columns multiplications.

        Returns:
            (draws, num_columns).
        """
        return _divide(*self.permuted_sums(permutations))

    def permuted_sums(self, permutations: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The sums of which `permuted_tau` is made: concordance, and pairs untied in the column and in the gap."""
        numerator = np.zeros((len(permutations), self.num_columns))
        gaps = self._gap_ranks[permutations]
        for i, j in self._blocks(len(permutations)):
            numerator += sign_of_difference(gaps[:, i], gaps[:, j], self.exact) @ self.signs(i, j)
        once = np.ones((1, self.n))
        untied = np.empty((len(permutations), self.num_columns))
        unique, inverse = np.unique(self.present, axis=1, return_inverse=True)
        for index, present in enumerate(unique.T):
            untied[:, inverse == index] = _untied_permuted(self._gap_levels, permutations, present)[:, None]
        return numerator, self.in_column.untied(once), untied

    def concordance(self, multiplicities: FloatArray) -> FloatArray:
        """(draws, num_columns) Σ_{i<j} m_i m_j s^x_ij s^y_ij: concordant minus discordant pairs."""
        weights, kind = np.unique(multiplicities.astype(self.exact), axis=1, return_inverse=True)
        numerator = np.zeros((len(weights), self.num_columns))
        for i, j in self._blocks(len(weights), np.argsort(kind, kind="stable")):
            signs = self.signs(i, j) * self.gap_signs(i, j)[:, None]
            begins = np.flatnonzero((np.diff(kind[i], prepend=-1) != 0) | (np.diff(kind[j], prepend=-1) != 0))
            signs = np.add.reduceat(signs, begins, axis=0) if len(begins) < len(signs) else signs
            numerator += (weights[:, kind[i[begins]]] * weights[:, kind[j[begins]]]) @ signs
        return numerator

    def untied_pairs(self) -> tuple[FloatArray, FloatArray]:
        """(num_columns,) numbers of pairs untied in the column, and untied in the gap, among models that have both."""
        once = np.ones((1, self.n))
        return self.in_column.untied(once)[0], self.in_gap.untied(once)[0]

    def signs(self, i: IntArray, j: IntArray) -> Signs:
        """(num_pairs, num_columns) sign of each column's difference between models i and j; 0 if one is missing."""
        return sign_of_difference(self._ranks[i], self._ranks[j], self.exact)

    def gap_signs(self, i: IntArray, j: IntArray) -> Signs:
        """(num_pairs,) sign of the gap's difference between models i and j."""
        return sign_of_difference(self._gap_ranks[i], self._gap_ranks[j], self.exact)

    def matrix(self, column: int) -> Signs:
        """(n, n) s^x_ij s^y_ij of one column."""
        ranks = self._ranks[:, column]
        return sign_of_difference(ranks[:, None], ranks, self.exact) * self._gap_matrix

    @cached_property
    def _gap_matrix(self) -> Signs:
        return sign_of_difference(self._gap_ranks[:, None], self._gap_ranks, self.exact)

    def alike(self, columns: IntArray) -> bool:
        """Whether columns have the same missing models and the same ties, so that their denominators are equal."""
        return all(len(set(patterns.of_column[columns])) == 1 for patterns in (self.in_column, self.in_gap))

    def _blocks(self, draws: int, order: IntArray | None = None) -> list[tuple[IntArray, IntArray]]:
        """All pairs of models, in blocks whose matrices stay small; the models in a given order, if any."""
        i, j = np.triu_indices(self.n, 1)
        size = max(CHUNK // max(draws, self.num_columns, 1), 1)
        i, j = (i, j) if order is None else (order[i], order[j])
        return [(i[start : start + size], j[start : start + size]) for start in range(0, len(i), size)]


class TiePatterns:
    """Which models are tied or missing in each column; columns with the same pattern are counted once."""

    def __init__(self, codes: IntArray) -> None:
        """Take (n, num_columns) levels of the models: equal for tied ones, `MISSING` for missing ones."""
        unique, self.of_column = np.unique(codes, axis=1, return_inverse=True)  # (num_columns,) index of its pattern
        self._codes = unique.T
        self.count = len(self._codes)

    def untied(self, multiplicities: FloatArray) -> FloatArray:
        """(draws, num_columns) Σ_{i<j} m_i m_j over untied pairs of present models."""
        counts = np.empty((len(multiplicities), self.count))
        for index, codes in enumerate(self._codes):
            present = codes != MISSING
            one_hot = (codes[present, None] == np.unique(codes[present])[None, :]).astype(np.float64)
            totals = multiplicities[:, present] @ one_hot
            counts[:, index] = (totals.sum(axis=1) ** 2 - (totals**2).sum(axis=1)) / 2
        return counts[:, self.of_column]

    def pairs(self, i: IntArray, j: IntArray) -> Signs:
        """(count, num_pairs) 1 if models i and j are present and not tied in the pattern, else 0."""
        return _differ(self._codes[:, i], self._codes[:, j])

    def matrix(self, pattern: int) -> Signs:
        """(n, n) the same for all pairs of models, in one pattern."""
        return _differ(self._codes[pattern][:, None], self._codes[pattern])


def _differ(first: IntArray, second: IntArray) -> Signs:
    differ: Signs = ((first != second) & (first != MISSING) & (second != MISSING)).astype(np.float32)
    return differ


def _by_column(function: Callable[[FloatArray], NDArray[Any]], values: FloatArray) -> NDArray[Any]:
    """(n, num_columns) a function of a vector, applied to each column."""
    return np.stack([function(column) for column in values.T], axis=1) if values.size else np.zeros(values.shape, int)


def _ranks(values: FloatArray) -> FloatArray:
    """(n,) rank of each value among the different values, from 0; NaN if missing."""
    present = np.isfinite(values)
    ranks = np.full(values.shape, np.nan)
    ranks[present] = np.unique(values[present], return_inverse=True)[1]
    return ranks


def levels(values: FloatArray) -> IntArray:
    """(n,) the same number for equal values, in order of first appearance; so all untied columns have equal levels."""
    present = np.isfinite(values)
    codes = np.full(values.shape, MISSING, dtype=np.intp)
    _, first, inverse = np.unique(values[present], return_index=True, return_inverse=True)
    codes[present] = np.argsort(np.argsort(first))[inverse]
    return codes


def sign_of_difference(first: ArrayLike, second: ArrayLike, kind: type[np.floating] = np.float64) -> Signs:
    """sign(first − second), 0 if one is missing; computed by comparison, so that differences can't overflow."""
    a, b = np.asarray(first), np.asarray(second)
    signs: Signs = (a > b).astype(kind) - (a < b).astype(kind)
    return signs


def as_columns(values: ArrayLike) -> FloatArray:
    """(n, num_columns) floats, missing values as NaN; a single column may come as a vector."""
    columns = np.array(values, dtype=np.float64)
    columns = columns[:, None] if columns.ndim == 1 else columns
    if columns.ndim != 2:
        raise AnalysisError(f"values must be a vector or a matrix of columns; got {columns.ndim} dimensions")
    columns[~np.isfinite(columns)] = np.nan
    return columns


def _untied_permuted(gap_levels: IntArray, permutations: IntArray, present: NDArray[np.bool_]) -> FloatArray:
    """(draws,) number of pairs of present models whose permuted gaps differ."""
    size = int(present.sum())
    tied = np.zeros(len(permutations))
    permuted = gap_levels[permutations][:, present]
    found, counts = np.unique(gap_levels, return_counts=True)
    for level in found[counts > 1]:
        same = (permuted == level).sum(axis=1)
        tied += same * (same - 1) / 2
    result: FloatArray = size * (size - 1) / 2 - tied
    return result


def _divide(numerator: FloatArray, untied_x: FloatArray, untied_y: FloatArray) -> FloatArray:
    denominator = np.sqrt(untied_x * untied_y)
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=np.broadcast_to(denominator > 0, numerator.shape))
    return result
