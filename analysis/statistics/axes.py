"""Hyperparameter axes of a grid as the statistics see them: labels of the models, and pairs that differ in one axis."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import AnalysisError
from analysis.statistics.resampling import FloatArray, IntArray

Axes = Mapping[str, ArrayLike]


@dataclass(frozen=True)
class Models:
    """Models that have a measure, a gap and a value on every axis."""

    names: tuple[str, ...]
    codes: IntArray  # (n, num_axes) number of each model's value on each axis
    measure: FloatArray  # (n,)
    gap: FloatArray  # (n,)
    kept: NDArray[np.bool_]  # (all models,) which of those given these are

    @classmethod
    def of(cls, measure: ArrayLike, gap: ArrayLike, axes: Axes) -> "Models":
        """Number the axes' values, and drop models without a measure or a gap.

        Raises:
            AnalysisError: there is no axis, or the lengths differ.
        """
        x, y = np.asarray(measure, dtype=np.float64).ravel(), np.asarray(gap, dtype=np.float64).ravel()
        columns = {name: np.asarray(values).ravel() for name, values in axes.items()}
        if not columns:
            raise AnalysisError("axes is empty: name at least one hyperparameter that varies over the models")
        lengths = {"measure": x.size, "gap": y.size} | {name: column.size for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise AnalysisError(f"measure, gap and axes must have one entry a model; got {lengths}")
        kept = np.isfinite(x) & np.isfinite(y)
        codes = np.stack([np.unique(column[kept], return_inverse=True)[1] for column in columns.values()], axis=1)
        return cls(tuple(columns), codes, x[kept], y[kept], kept)

    def pairs_along(self, axis: int) -> "PairsAlong":
        """Pairs of models that differ in one axis and in nothing else; repeats of a configuration are not paired."""
        others = np.delete(self.codes, axis, axis=1)
        _, line = np.unique(others, axis=0, return_inverse=True)
        line = line.ravel()
        i, j = np.triu_indices(len(line), 1)
        chosen = (line[i] == line[j]) & (self.codes[i, axis] != self.codes[j, axis])
        i, j = i[chosen], j[chosen]
        swap = self.codes[i, axis] > self.codes[j, axis]  # so that a change v1 → v2 has one name
        i, j = np.where(swap, j, i), np.where(swap, i, j)
        return PairsAlong(i, j, line[i], int(line.max(initial=-1)) + 1)


@dataclass(frozen=True)
class PairsAlong:
    """Pairs of models along one axis."""

    i: IntArray  # (num_pairs,) the model with the lower value on the axis
    j: IntArray  # (num_pairs,)
    line: IntArray  # (num_pairs,) number of the combination of all other axes
    num_lines: int  # combinations of the other axes that any model has
