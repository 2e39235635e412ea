"""Hyperparameter axes of a grid, for the statistics: labels of the models, and pairs that differ in one axis."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import AnalysisError
from analysis.statistics.resampling import FloatArray, IntArray

Axes = Mapping[str, ArrayLike]


@dataclass(frozen=True)
class PairsAlong:
    """Pairs of models that differ in one axis alone. A line is one combination of the values of all other axes."""

    i: IntArray  # (num_pairs,) the model with the lower value on the axis
    j: IntArray  # (num_pairs,)
    line: IntArray  # (num_pairs,) number of the pair's line
    change: IntArray  # (num_pairs,) number of the combination of line and two values
    line_of_model: IntArray  # (N,)

    def among(self, models: NDArray[np.bool_]) -> "PairsAlong":
        """The pairs whose models are both in a selection (N,)."""
        if models.all():
            return self
        chosen = models[self.i] & models[self.j]
        return PairsAlong(
            self.i[chosen], self.j[chosen], self.line[chosen], self.change[chosen], self.line_of_model[models]
        )

    @property
    def num_lines(self) -> int:
        """Number of lines with at least one model."""
        return len(np.unique(self.line_of_model))


@dataclass(frozen=True)
class Grid:
    """The values of models on some axes; pairs along an axis are found once for all measures."""

    names: tuple[str, ...]
    codes: IntArray  # (N, num_axes) number of each model's value on each axis

    @classmethod
    def of(cls, axes: "Axes | Grid") -> "Grid":
        """Number the axes' values.

        Raises:
            AnalysisError: there is no axis, or the lengths of the axes differ.
        """
        if isinstance(axes, Grid):
            return axes
        columns = {name: np.asarray(values).ravel() for name, values in axes.items()}
        if not columns:
            raise AnalysisError("axes is empty: name at least one hyperparameter that varies over the models")
        lengths = {name: column.size for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise AnalysisError(f"axes must have one entry a model; got {lengths}")
        codes = np.stack([np.unique(column, return_inverse=True)[1] for column in columns.values()], axis=1)
        return cls(tuple(columns), codes)

    @cached_property
    def along(self) -> list[PairsAlong]:
        """For each axis the pairs that differ in it alone; repeats of a configuration make no pairs."""
        return [self._along(axis) for axis in range(len(self.names))]

    def _along(self, axis: int) -> PairsAlong:
        others = np.delete(self.codes, axis, axis=1)
        line = np.unique(others, axis=0, return_inverse=True)[1].ravel()
        value = self.codes[:, axis]
        i, j = np.triu_indices(len(line), 1)
        chosen = (line[i] == line[j]) & (value[i] != value[j])
        i, j = i[chosen], j[chosen]
        swap = value[i] > value[j]  # so that each change v1 → v2 has one number
        i, j = np.where(swap, j, i), np.where(swap, i, j)
        change = np.stack([line[i], value[i], value[j]], axis=1)
        return PairsAlong(i, j, line[i], np.unique(change, axis=0, return_inverse=True)[1].ravel(), line)


@dataclass(frozen=True)
class Models:
    """Models on a grid with a measure and a gap."""

    grid: Grid
    measure: FloatArray  # (N,)
    gap: FloatArray  # (N,)
    present: NDArray[np.bool_]  # (N,) whether a model has both

    @classmethod
    def of(cls, measure: ArrayLike, gap: ArrayLike, axes: Axes | Grid) -> "Models":
        """Put the models on their grid.

        Raises:
            AnalysisError: there is no axis, or the lengths differ.
        """
        x, y = np.asarray(measure, dtype=np.float64).ravel(), np.asarray(gap, dtype=np.float64).ravel()
        grid = Grid.of(axes)
        lengths = {"measure": x.size, "gap": y.size, "axes": len(grid.codes)}
        if len(set(lengths.values())) > 1:
            raise AnalysisError(f"measure, gap and axes must have one entry a model; got {lengths}")
        return cls(grid, x, y, np.isfinite(x) & np.isfinite(y))

    def pairs_along(self, axis: int) -> PairsAlong:
        """Pairs of models with both values that differ in one axis alone."""
        return self.grid.along[axis].among(self.present)
