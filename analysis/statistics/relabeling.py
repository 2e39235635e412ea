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
        groups: ArrayLike | None = None,
        seed: int = 0,
        draws: int = NUM_DRAWS,
        least: int = LEAST_RELABELINGS,
    ) -> Null:
        """Reassignments of the gap if it is not associated with the measures.

        The seeds of a configuration stay together. Where there are too few relabelings, or a configuration of the grid
        has no model or fewer seeds than others, whole configurations are exchanged instead, and `why_cells` says so.
        All reassignments are used if there are at most `draws`.

        Args:
            groups: (N,) labels that are conditioned on: the gap stays in its group, and the levels of an axis that is
                constant in each group are not relabeled.
            seed, draws: of the random reassignments.
            least: levels are relabeled if there are as many relabelings as this.
        """
        table, why = self._table()
        strata = np.zeros(self.n, dtype=np.intp) if groups is None else cell_index(self.n, groups)
        if table is not None and self.grid is not None:
            fixed = self._constant_within(strata)
            free = [axis for axis in range(len(self.grid.names)) if axis not in fixed]
            count = math.prod(math.factorial(table.shape[axis]) for axis in free)
            if not self._determine(fixed, strata):
                why = "the groups are not levels of an axis"
            elif count < max(least, 2):
                why = f"the axes have only {count} relabelings"
            else:
                every = _all_relabelings(table.shape, free)
                chosen = every if count <= draws else _random_relabelings(table.shape, free, seed, draws)
                return Null(_reassigned(table, chosen), levels=True, exact=count <= draws)
        every_cell = _all_permutations(self.cells, strata, draws)
        drawn = permutations(self.n, seed, draws, self.cells, strata) if every_cell is None else every_cell
        return Null(drawn, levels=False, exact=every_cell is not None, why_cells=why)

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

    def _constant_within(self, strata: IntArray) -> list[int]:
        """The axes that do not vary within any group."""
        if self.grid is None:
            return []
        num_groups = len(np.unique(strata))
        columns = enumerate(self.grid.codes.T)
        return [axis for axis, codes in columns if len(set(zip(strata, codes, strict=True))) == num_groups]

    def _determine(self, axes: Sequence[int], strata: IntArray) -> bool:
        """Whether models with the same levels on some axes are always in the same group."""
        if self.grid is None:
            return False
        levels = [tuple(row) for row in self.grid.codes[:, list(axes)]]
        return len(set(zip(levels, strata, strict=True))) == len(set(levels))


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


def _all_permutations(cells: IntArray, strata: IntArray, most: int) -> IntArray | None:
    """(draws, N) every exchange of configurations of one size and group but the identity; None if more than `most`."""
    members = [np.flatnonzero(cells == cell) for cell in range(cells.max(initial=-1) + 1)]
    kinds: dict[tuple[int, int], list[IntArray]] = {}
    for cell in members:
        kinds.setdefault((int(strata[cell[0]]), len(cell)), []).append(cell)
    if math.prod(math.factorial(min(len(alike), 20)) for alike in kinds.values()) > most:
        return None
    rows = []
    for chosen in itertools.product(*(itertools.permutations(alike) for alike in kinds.values())):
        row = np.arange(len(cells))
        for alike, order in zip(kinds.values(), chosen, strict=True):
            row[np.concatenate(alike)] = np.concatenate(order)
        rows.append(row)
    return np.array(rows[1:], dtype=np.intp).reshape(len(rows) - 1, len(cells))
