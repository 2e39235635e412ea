"""The engine under every τ: sums over pairs of models, for many columns and many draws at once.

With signs s_ij = sign(v_i − v_j) and multiplicities m_i, a draw's τ_b is Σ_{i<j} m_i m_j s^x_ij s^y_ij over
sqrt(Σ m_i m_j |s^x_ij| · Σ m_i m_j |s^y_ij|). The numerators of all draws and columns are one matrix product,
(draws, pairs) @ (pairs, columns). All its terms are small whole numbers, so single precision gives it exactly. The
denominators need no pairs at all: the pairs that are not tied are the square of the total less the squares of the tied
levels' totals.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import AnalysisError
from analysis.statistics.resampling import FloatArray, IntArray

MISSING = -1  # the level of a model without a value
CHUNK = 1 << 24  # entries of a block of signs: 64 MiB
EXACT_IN_SINGLE = 5000  # models; Σ m_i m_j ≤ n²/2 < 2²⁴ up to here


class PairSums:
    """Columns of values against one gap, ready to be summed over pairs."""

    def __init__(self, columns: ArrayLike, gap: ArrayLike) -> None:
        """Take (n, num_columns) values and (n,) gaps; what is NaN or infinite is missing.

        Raises:
            AnalysisError: the numbers of rows differ.
        """
        self.columns = as_columns(columns)
        self.gap = np.asarray(gap, dtype=np.float64).ravel()
        self.n, self.num_columns = self.columns.shape
        if self.gap.size != self.n:
            raise AnalysisError(f"measure and gap must have the same length; got {self.n} and {self.gap.size}")
        self.present = np.isfinite(self.columns) & np.isfinite(self.gap)[:, None]
        self._values = np.where(self.present, self.columns, np.nan)
        self._gap_levels = levels(self.gap)
        self._x = _Patterns(
            np.stack([levels(column) for column in self._values.T], axis=1)
            if self._values.size
            else np.zeros((self.n, self.num_columns), np.intp)
        )
        self._y = _Patterns(np.where(self.present, self._gap_levels[:, None], MISSING))

    def weighted_tau(self, multiplicities: FloatArray) -> FloatArray:
        """τ_b of every column when model i counts m_i times; pairs of a model with itself never count.

        Args:
            multiplicities: (draws, n) whole numbers. Cost: draws · n²/2 · columns multiplications.

        Returns:
            (draws, num_columns); NaN where a column or the gap is constant in the draw.
        """
        numerator = np.zeros((len(multiplicities), self.num_columns))
        weights = multiplicities.astype(self._precision)
        for i, j in self._blocks(len(multiplicities)):
            signs = self._signs(i, j) * self._gap_signs(self.gap[i], self.gap[j])[:, None]
            numerator += (weights[:, i] * weights[:, j]) @ signs
        return _divide(numerator, self._x.untied(multiplicities), self._y.untied(multiplicities))

    def permuted_tau(self, permutations: IntArray) -> FloatArray:
        """τ_b of every column when model i is given the gap of model [b, i].

        Args:
            permutations: (draws, n). Cost as that of `weighted_tau`.

        Returns:
            (draws, num_columns).
        """
        numerator = np.zeros((len(permutations), self.num_columns))
        gaps = self.gap[permutations]
        for i, j in self._blocks(len(permutations)):
            numerator += self._gap_signs(gaps[:, i], gaps[:, j]) @ self._signs(i, j)
        once = np.ones((1, self.n))
        untied = np.empty((len(permutations), self.num_columns))
        unique, inverse = np.unique(self.present, axis=1, return_inverse=True)
        for index, present in enumerate(unique.T):
            untied[:, inverse == index] = _untied_permuted(self._gap_levels, permutations, present)[:, None]
        return _divide(numerator, self._x.untied(once), untied)

    def concordance(self) -> FloatArray:
        """(num_columns,) Σ_{i<j} s^x_ij s^y_ij: concordant less discordant pairs."""
        total: FloatArray = self.row_sums().sum(axis=0) / 2
        return total

    def row_sums(self) -> FloatArray:
        """(n, num_columns) Σ_j s^x_ij s^y_ij: what each model contributes."""
        sums = np.empty((self.n, self.num_columns))
        for model in range(self.n):
            signs = sign_of_difference(self._values[model], self._values)
            sums[model] = sign_of_difference(self.gap[model], self.gap) @ signs
        return sums

    def untied_pairs(self) -> tuple[FloatArray, FloatArray]:
        """(num_columns,) pairs not tied in the column, and not tied in the gap, among models that have both."""
        once = np.ones((1, self.n))
        return self._x.untied(once)[0], self._y.untied(once)[0]

    @property
    def alike(self) -> bool:
        """Whether all columns have the same models and the same ties, so that all their denominators are equal."""
        return self._x.num_patterns <= 1 and self._y.num_patterns <= 1

    @property
    def _precision(self) -> type[np.floating]:
        return np.float32 if self.n <= EXACT_IN_SINGLE else np.float64

    def _blocks(self, draws: int) -> list[tuple[IntArray, IntArray]]:
        """All pairs i < j, in blocks whose matrices stay small."""
        i, j = np.triu_indices(self.n, 1)
        size = max(CHUNK // max(draws, self.num_columns, 1), 1)
        return [(i[start : start + size], j[start : start + size]) for start in range(0, len(i), size)]

    def _signs(self, i: IntArray, j: IntArray) -> NDArray[np.floating]:
        return sign_of_difference(self._values[i], self._values[j], self._precision)

    def _gap_signs(self, first: FloatArray, second: FloatArray) -> NDArray[np.floating]:
        return sign_of_difference(first, second, self._precision)


class _Patterns:
    """Which models are tied or missing, column by column; columns that agree in it are counted once."""

    def __init__(self, codes: IntArray) -> None:
        self._unique, self._inverse = np.unique(codes, axis=1, return_inverse=True)
        self.num_patterns = int(self._unique.shape[1])

    def untied(self, multiplicities: FloatArray) -> FloatArray:
        """(draws, num_columns) Σ_{i<j} m_i m_j over pairs of present models that are not tied."""
        counts = np.empty((len(multiplicities), self._unique.shape[1]))
        for index, codes in enumerate(self._unique.T):
            present = codes != MISSING
            one_hot = (codes[present, None] == np.unique(codes[present])[None, :]).astype(np.float64)
            totals = multiplicities[:, present] @ one_hot
            counts[:, index] = (totals.sum(axis=1) ** 2 - (totals**2).sum(axis=1)) / 2
        return counts[:, self._inverse]


def levels(values: FloatArray) -> IntArray:
    """(n,) the same number for equal values, numbered as they first appear, so that untied columns all look alike."""
    present = np.isfinite(values)
    codes = np.full(values.shape, MISSING, dtype=np.intp)
    _, first, inverse = np.unique(values[present], return_index=True, return_inverse=True)
    codes[present] = np.argsort(np.argsort(first))[inverse]
    return codes


def sign_of_difference(
    first: ArrayLike, second: ArrayLike, kind: type[np.floating] = np.float64
) -> NDArray[np.floating]:
    """sign(first − second), 0 where one is missing; finite values only need to be comparable, not subtractable."""
    a, b = np.asarray(first), np.asarray(second)
    signs: NDArray[np.floating] = (a > b).astype(kind) - (a < b).astype(kind)
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
    """(draws,) pairs of present models whose permuted gaps differ."""
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
