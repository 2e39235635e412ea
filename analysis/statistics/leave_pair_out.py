"""Sums behind `nested_order_tau`: τ whose column is chosen, for each pair of models, on the other configurations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.pairs import CHUNK, PairSums, Signs
from analysis.statistics.resampling import FloatArray, IntArray

Sums = tuple[Signs, Signs]  # of a draw: over the pairs with a model of each configuration, and over all pairs


class LeavePairOut:
    """Scores pairs of models, in any bootstrap draw, with the column that is best without their configurations.

    All pairs of models from the same two configurations A and B (from one, if A = B) share a column, so they are summed
    first: X_AB = Σ s^x_ij s^y_ij. In a draw with multiplicities m, these m_A m_B X_AB are scored by the column with the
    highest τ_b on the draw without any copy of A and B. All terms are small whole numbers, so their sums are exact.
    """

    def __init__(self, sums: PairSums, choices: Sequence[IntArray], cells: IntArray) -> None:
        """Take the columns, for each choice the numbers of its columns, and (N,) the configuration of each model."""
        self._sums = sums
        self._choices = choices
        self.num_cells = int(cells.max(initial=-1)) + 1
        self._by_cell = np.argsort(cells, kind="stable")
        self._first = np.searchsorted(cells[self._by_cell], np.arange(self.num_cells))
        self._largest = float(np.bincount(cells, minlength=1).max()) ** 2
        present = np.add.reduceat(sums.present[self._by_cell].astype(np.intp), self._first, axis=0) if sums.n else None
        self._present = np.zeros((0, sums.num_columns), dtype=np.intp) if present is None else present
        self._models, self._starts, self._cells = _pairs_by_cells(cells)
        self.num_pairs = len(self._starts) - 1  # of configurations
        # If all columns have the same denominator, their numerators rank them.
        self._alike = [sums.alike(choice) for choice in choices]
        # Index, for each column, of its concordance, its untied pairs, and its pairs untied in the gap.
        self._indices = (np.arange(sums.num_columns), sums.in_column.of_column, sums.in_gap.of_column)

    def taus(
        self, multiplicities: FloatArray, draws: Sequence[int], which: IntArray
    ) -> list[tuple[FloatArray, IntArray]]:
        """τ of each choice and draw over pairs of configurations, and how often each column was chosen in all draws.

        Args:
            multiplicities: (draws, num_cells) how often each configuration is in each draw.
            draws: for each choice, how many of the first draws it uses.
            which: (…,) numbers of pairs of configurations.

        Returns:
            For each choice (draws,) τ, NaN if no pair can be scored, and (len(choice),) counts of pairs of models.
        """
        m = multiplicities.astype(self._sums.exact)
        own = self._own(m)
        sums = [np.zeros((3, count)) for count in draws]  # scores, untied in the column, untied in the gap
        counts = np.zeros((len(draws), self._sums.num_columns), dtype=np.intp)
        size = max(int(CHUNK // (self._sums.num_columns * self._largest)), 1)
        for start in range(0, len(which), size):
            block = which[start : start + size]
            signs = self._signs(block)
            for draw, weights in enumerate(m):
                pairs = _Pairs.drawn(weights, self._cells[:, block], np.diff(self._starts)[block])
                of_draw = [(kind[draw], total[draw]) for kind, total in own]
                for index in (index for index, count in enumerate(draws) if draw < count):
                    best, usable = self._best(index, of_draw, pairs, signs)
                    scored = pairs.row[usable]
                    rows = (index_of[best] for index_of in self._indices)
                    found = [kind[row, scored] for kind, row in zip(signs, rows, strict=True)]
                    sums[index][:, draw] += [(pairs.weight[usable] * each).sum(dtype=np.float64) for each in found]
                    chosen = np.bincount(best, pairs.num_models[usable], self._sums.num_columns)
                    counts[index] += chosen.astype(np.intp)
        with np.errstate(invalid="ignore", divide="ignore"):
            taus = [np.where(x * y > 0, score / np.sqrt(x * y), np.nan) for score, x, y in sums]
        return [(tau, count[choice]) for tau, count, choice in zip(taus, counts, self._choices, strict=True)]

    def _signs(self, which: IntArray) -> list[Signs]:
        """(…, len(which)) each: concordance for every column, and untied pairs for every pattern of ties."""
        lengths = np.diff(self._starts)[which]
        begins = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.intp)
        # The numbers of the pairs of models: begin of each pair of configurations, and a count from there.
        numbers = np.repeat(self._starts[which] - begins, lengths) + np.arange(lengths.sum())
        i, j = self._models[:, numbers]
        concordance = (self._sums.signs(i, j) * self._sums.gap_signs(i, j)[:, None]).T
        kinds = [concordance, self._sums.in_column.pairs(i, j), self._sums.in_gap.pairs(i, j)]
        return [np.ascontiguousarray(np.add.reduceat(kind, begins, axis=1)) for kind in kinds]

    def _own(self, m: Signs) -> list[Sums]:
        """Of each kind, for all draws: (draws, …, num_cells + 1) sums over the pairs with a model of a configuration.

        The last entry is 0, for the second configuration of pairs within one. Then (draws, …) sums over all pairs.
        """
        sums = self._sums
        kinds: list[tuple[Callable[[int], Signs], int]] = [(sums.matrix, sums.num_columns)]
        if not all(self._alike):
            kinds += [(patterns.matrix, patterns.count) for patterns in (sums.in_column, sums.in_gap)]
        found: list[Sums] = []
        for matrix, count in kinds:
            own = np.zeros((len(m), count, self.num_cells + 1), dtype=m.dtype)
            total = np.zeros((len(m), count), dtype=m.dtype)
            for index in range(count):
                between = self._between_cells(matrix(index))
                both = m * (m @ between)  # pairs within a configuration are in it twice
                total[:, index] = both.sum(axis=1, dtype=np.float64) / 2
                own[:, index, :-1] = both - m**2 * (np.diagonal(between) / 2)
            found.append((own, total))
        return found

    def _between_cells(self, matrix: Signs) -> Signs:
        """(num_cells, num_cells) sums of an (N, N) matrix over the models of two configurations."""
        if self.num_cells == self._sums.n:
            return matrix[np.ix_(self._by_cell, self._by_cell)]
        rows = np.add.reduceat(matrix[self._by_cell], self._first, axis=0)
        summed: Signs = np.add.reduceat(rows[:, self._by_cell], self._first, axis=1)
        return summed

    def _best(
        self, index: int, own: list[Sums], pairs: "_Pairs", signs: list[Signs]
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        """For each pair the column of a choice that is best, in one draw, without the two configurations of the pair.

        Returns:
            (num_usable,) numbers of columns, and (num_pairs,) whether any column can score the pair.
        """
        choice = self._choices[index]
        if self._alike[index]:
            most = self._largest * pairs.weight.max(initial=0)
            likely = choice[_likely(own[0][0][choice], own[0][1][choice], most)]
            rest = pairs.rest(own[0][0][likely], own[0][1][likely], signs[0][likely])
            return likely[rest.argmax(axis=0)], np.ones(len(pairs.row), dtype=bool)
        score, untied_x, untied_y = (
            pairs.rest(kind[index_of[choice]], total[index_of[choice]], sign[index_of[choice]]).astype(np.float64)
            for (kind, total), sign, index_of in zip(own, signs, self._indices, strict=True)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            tau = np.where(untied_x * untied_y > 0, score / np.sqrt(untied_x * untied_y), -np.inf)
        present = self._present[:, choice].T
        least = 1 + (pairs.i == pairs.j)  # a pair within a configuration needs two of its models
        tau[~((present[:, pairs.i] >= least) & (present[:, pairs.j] >= least))] = -np.inf
        usable = np.asarray(np.isfinite(tau).any(axis=0))
        return choice[tau[:, usable].argmax(axis=0)], usable


@dataclass(frozen=True)
class _Pairs:
    """The pairs of configurations that are in a draw; i = j for the pairs of models within one."""

    i: IntArray  # (num_pairs,) configurations
    j: IntArray
    weight: Signs  # (num_pairs,) m_i m_j
    num_models: FloatArray  # (num_pairs,) pairs of models
    row: IntArray  # (num_pairs,) their index among all given pairs

    @classmethod
    def drawn(cls, multiplicities: Signs, cells: IntArray, num_models: IntArray) -> "_Pairs":
        i, j = cells
        weight = multiplicities[i] * multiplicities[j]
        row = np.flatnonzero(weight)
        return cls(i[row], j[row], weight[row], num_models[row].astype(np.float64), row)

    def rest(self, own: Signs, total: Signs, signs: Signs) -> Signs:
        """(num_columns, num_pairs) a draw's sums over the pairs of models without the configurations i and j.

        Args:
            own: (num_columns, num_cells + 1) the sums over pairs with a model of each configuration, and 0.
            total: (num_columns,) the sums over all pairs.
            signs: (num_columns, …) of all given pairs.
        """
        within = self.i == self.j
        # `take` is twice as fast as an index.
        either = own.take(self.i, axis=1) + own.take(np.where(within, own.shape[1] - 1, self.j), axis=1)
        both = np.where(within, 0, self.weight).astype(own.dtype) * signs.take(self.row, axis=1)
        rest: Signs = total[:, None] - either + both
        return rest


def _pairs_by_cells(cells: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """All pairs of models, sorted by their configurations.

    Returns:
        (2, N(N−1)/2) models; (num_pairs + 1,) where each pair of configurations begins, and the end of the last;
        (2, num_pairs) the configurations.
    """
    i, j = np.triu_indices(len(cells), 1)
    low, high = np.minimum(cells[i], cells[j]), np.maximum(cells[i], cells[j])
    order = np.lexsort([high, low])
    low, high = low[order], high[order]
    starts = np.flatnonzero((np.diff(low, prepend=-1) != 0) | (np.diff(high, prepend=-1) != 0))
    return np.stack([i, j])[:, order], np.append(starts, len(order)), np.stack([low[starts], high[starts]])


def _likely(own: Signs, total: Signs, most: float) -> IntArray:
    """The columns whose numerator can be the highest without some two configurations.

    Args:
        own: (num_columns, num_cells + 1) the sums over pairs with a model of each configuration, and 0.
        total: (num_columns,) the sums over all pairs.
        most: bound on the pairs of models that two configurations make with each other.
    """
    lowest, highest = total - 2 * own.max(axis=1) - most, total - 2 * own.min(axis=1) + most
    return np.flatnonzero(highest >= lowest.max())
