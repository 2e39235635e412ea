"""How gaps are reassigned to models where a measure and the gap are not associated: the null of every p-value.

Cells of a grid are not exchangeable: a measure and a gap that each follow the axes, but not each other, agree too
often. If cells are permuted, a true null is then rejected in a quarter of the sweeps or more. Axis levels are
exchangeable if nothing is known of what a level does: so each axis is relabeled as a whole, in all models at once. A
model gets the gap of the model that stands where the new labels point to, of the same seed.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import AnalysisError
from analysis.statistics.axes import Axes, Grid
from analysis.statistics.resampling import NUM_DRAWS, IntArray, cell_index, permutations

LEAST_RELABELINGS = 100  # with fewer, levels can give no p-value below .01


@dataclass(frozen=True)
class Null:
    """Reassignments of the gap to the models; the identity is not among them, so p = (1 + as extreme)/(1 + draws)."""

    permutations: IntArray  # (draws, N): draw b gives model i the gap of model [b, i]
    levels: bool  # whether axis levels were relabeled; else whole configurations were exchanged
    exact: bool  # whether these are all reassignments, or random ones
    why_cells: str = ""  # why levels could not be relabeled

    def __str__(self) -> str:
        drawn = f"all {len(self.permutations) + 1:,}".replace(",", " ") if self.exact else f"{len(self.permutations)}"
        if self.levels:
            return f"{drawn} relabelings of the axes' levels"
        return f"{drawn} permutations of configurations ({self.why_cells})"


@dataclass(frozen=True)
class Design:
    """Where models stand in a grid, and which of them are seeds of one configuration."""

    grid: Grid | None  # None where nothing varies but the seed
    cells: IntArray  # (N,) number of each model's configuration
    seeds: IntArray  # (N,) by which the models of two configurations are matched

    @classmethod
    def of(cls, axes: Axes | Grid, seeds: ArrayLike | None = None) -> "Design":
        """The design of models with these values on the axes.

        Args:
            axes: by name the (N,) values; models with the same values on all axes are seeds of one configuration.
            seeds: (N,) seeds of the models; None: they are matched in their order.

        Raises:
            AnalysisError: there is no axis, or the lengths differ.
        """
        grid = Grid.of(axes)
        cells = np.unique(grid.codes, axis=0, return_inverse=True)[1].ravel().astype(np.intp)
        order = np.arange(len(cells)) if seeds is None else np.unique(np.asarray(seeds), return_inverse=True)[1].ravel()
        if order.size != len(cells):
            raise AnalysisError(f"seeds must have one entry for each of the {len(cells)} models; got {order.size}")
        return cls(grid, cells, order.astype(np.intp))

    @classmethod
    def of_cells(cls, n: int, cells: ArrayLike | None = None) -> "Design":
        """Models of which only the configurations are known; without cells, each model is one of its own."""
        return cls(None, cell_index(n, cells), np.arange(n))

    @property
    def n(self) -> int:
        """Number of models."""
        return len(self.cells)

    @cached_property
    def num_cells(self) -> int:
        """Number of configurations."""
        return len(np.unique(self.cells))

    def among(self, models: NDArray[np.bool_]) -> "Design":
        """The design of a selection (N,) of the models."""
        grid = None if self.grid is None else Grid(self.grid.names, self.grid.codes[models])
        return Design(grid, cell_index(int(models.sum()), self.cells[models]), self.seeds[models])

    def null(
        self,
        fixed: Sequence[str] = (),
        groups: ArrayLike | None = None,
        seed: int = 0,
        draws: int = NUM_DRAWS,
        least: int = LEAST_RELABELINGS,
    ) -> Null:
        """Reassignments of the gap if it is not associated with the measures.

        The seeds of a configuration stay together. Where there are too few relabelings, or a configuration of the grid
        has no model or fewer seeds than others, whole configurations are exchanged instead, and `why_cells` says so.

        Args:
            fixed: names of axes whose levels stay: those that are conditioned on.
            groups: (N,) labels within which configurations are exchanged if levels can't be relabeled; the fixed axes
                are always respected.
            seed: of the random reassignments.
        """
        table, why = self._table()
        if table is not None and self.grid is not None:
            free = [axis for axis, name in enumerate(self.grid.names) if name not in fixed]
            count = math.prod(math.factorial(table.shape[axis]) for axis in free)
            if count >= max(least, 2):
                every = _all_relabelings(table.shape, free)
                chosen = every if count <= draws else _random_relabelings(table.shape, free, seed, draws)
                return Null(_reassigned(table, chosen), levels=True, exact=count <= draws)
            why = f"the axes have only {count} relabelings"
        drawn = permutations(self.n, seed, draws, self.cells, self._strata(fixed, groups))
        return Null(drawn, levels=False, exact=False, why_cells=why)

    def _table(self) -> tuple[IntArray | None, str]:
        """(levels of axis 1, …, seeds) numbers of the models; None, with the reason, if the grid is not complete."""
        if self.grid is None:
            return None, "no axis varies"
        codes = [np.unique(column, return_inverse=True)[1] for column in self.grid.codes.T]
        shape = [int(column.max(initial=-1)) + 1 for column in codes]
        sizes = np.bincount(self.cells) if self.n else np.zeros(0, dtype=np.intp)
        if self.n == 0 or len(sizes) < math.prod(shape):
            return None, f"{math.prod(shape) - len(sizes)} of {math.prod(shape)} configurations of the grid are missing"
        if sizes.min() < sizes.max():
            return None, f"configurations have {sizes.min()} to {sizes.max()} seeds"
        order = np.lexsort([self.seeds, *reversed(codes)])
        return order.reshape(*shape, sizes[0]), ""

    def _strata(self, fixed: Sequence[str], groups: ArrayLike | None) -> IntArray:
        """(N,) number of the models' group: those that differ in a fixed axis or a label are in different ones."""
        labels = [np.zeros(self.n, dtype=np.intp)]
        if self.grid is not None:
            labels += [self.grid.codes[:, axis] for axis, name in enumerate(self.grid.names) if name in fixed]
        if groups is not None:
            labels.append(cell_index(self.n, groups))
        strata: IntArray = np.unique(np.stack(labels, axis=1), axis=0, return_inverse=True)[1].ravel()
        return strata


def _all_relabelings(shape: Sequence[int], free: Sequence[int]) -> Iterator[list[IntArray]]:
    """For each relabeling but the identity the new order of every axis' levels."""
    every = [itertools.permutations(range(shape[axis])) for axis in free]
    for chosen in itertools.islice(itertools.product(*every), 1, None):
        orders = [np.arange(size) for size in shape]
        for axis, order in zip(free, chosen, strict=True):
            orders[axis] = np.array(order)
        yield orders


def _random_relabelings(shape: Sequence[int], free: Sequence[int], seed: int, draws: int) -> Iterator[list[IntArray]]:
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield [rng.permutation(size) if axis in free else np.arange(size) for axis, size in enumerate(shape)]


def _reassigned(table: IntArray, relabelings: Iterator[list[IntArray]]) -> IntArray:
    """(draws, N) whose gap each model gets; the last axis of the table, the seeds, is not relabeled."""
    rows = [table[np.ix_(*orders)].ravel() for orders in relabelings]
    result = np.empty((len(rows), table.size), dtype=np.intp)
    result[:, table.ravel()] = rows
    return result
