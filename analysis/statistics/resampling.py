"""The models of each draw: bootstrap, jackknife and permutation, over models or over cells of the grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import AnalysisError

NUM_DRAWS = 2000
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


def bootstrap_multiplicities(
    n: int, seed: int = 0, draws: int = NUM_DRAWS, cells: ArrayLike | None = None
) -> FloatArray:
    """How often each model occurs in each bootstrap draw.

    Args:
        n: number of models.
        seed: the same seed draws the same models, so that measures can be compared in each draw.
        draws: number of draws.
        cells: (n,) labels; models of one cell (the seeds of one configuration) are drawn together.

    Returns:
        (draws, n) whole numbers, as floats.
    """
    labels = cell_index(n, cells)
    size = int(labels.max(initial=-1)) + 1
    if size == 0:
        return np.zeros((draws, 0))
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=draws)
    multiplicities: FloatArray = drawn[:, labels].astype(np.float64)
    return multiplicities


def jackknife_multiplicities(n: int, cells: ArrayLike | None = None) -> FloatArray:
    """(number of cells, n) weights that leave out one cell at a time; without cells, one model at a time."""
    labels = cell_index(n, cells)
    left_out = np.arange(labels.max(initial=-1) + 1)[:, None] == labels[None, :]
    weights: FloatArray = 1.0 - left_out
    return weights


@dataclass(frozen=True)
class Resampling:
    """All models, all but one cell at a time, and bootstrap draws, as rows of one matrix for a single pass."""

    multiplicities: FloatArray  # (1 + number of cells + draws, n)
    num_cells: int

    @classmethod
    def of(cls, n: int, seed: int = 0, draws: int = NUM_DRAWS, cells: ArrayLike | None = None) -> "Resampling":
        """The resampling of n models, by `bootstrap_multiplicities` and `jackknife_multiplicities`."""
        left_out = jackknife_multiplicities(n, cells)
        drawn = bootstrap_multiplicities(n, seed, draws, cells)
        return cls(np.concatenate([np.ones((1, n)), left_out, drawn]), len(left_out))

    def split(self, values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Split the values of all rows: those of all models, (number of cells, …) without each cell, and (draws, …)."""
        return values[0], values[1 : 1 + self.num_cells], values[1 + self.num_cells :]


def jackknife_stderr(left_out: FloatArray) -> FloatArray:
    """Standard error from the values without each of N cells: se² = (N−1)/N · Σ(τ₍₋ᵢ₎ − mean)².

    Args:
        left_out: (N, …) values; NaN if the value without that cell is undefined.
    """
    size = left_out.shape[0]
    if size < 2:
        return np.full(left_out.shape[1:], np.nan)
    deviations = left_out - left_out.mean(axis=0)
    stderr: FloatArray = np.sqrt((size - 1) / size * (deviations**2).sum(axis=0))
    return stderr


def permutations(
    n: int,
    seed: int = 0,
    draws: int = NUM_DRAWS,
    cells: ArrayLike | None = None,
    within: ArrayLike | None = None,
) -> IntArray:
    """Random reassignments of the gap to the models, which are valid if the cells are exchangeable.

    With cells, whole cells are exchanged with cells of the same size, so that the seeds of one configuration stay
    together. If single models were exchanged, the p-values would be too small. In a grid, cells are exchangeable only
    if neither quantity follows the axes: see `analysis.statistics.relabeling`.

    Args:
        n, seed, draws, cells: as for `bootstrap_multiplicities`.
        within: (n,) labels; cells are exchanged with cells of the same label only (that of their first model).

    Returns:
        (draws, n): draw b gives model i the gap of model [b, i].
    """
    labels, groups = cell_index(n, cells), np.zeros(n, dtype=np.intp) if within is None else cell_index(n, within)
    rng = np.random.default_rng(seed)
    result = np.tile(np.arange(n), (draws, 1))
    members = [np.flatnonzero(labels == label) for label in range(labels.max(initial=-1) + 1)]
    kinds = [(int(groups[cell[0]]), len(cell)) for cell in members]
    for kind in sorted(set(kinds)):
        alike = [cell for cell, of_cell in zip(members, kinds, strict=True) if of_cell == kind]
        size, group = kind[1], np.array(alike)  # (cells of this group and size, size)
        shuffled = rng.permuted(np.tile(np.arange(len(group)), (draws, 1)), axis=1)
        result[:, group.ravel()] = group[shuffled].reshape(draws, len(group) * size)
    return result


def cell_index(n: int, cells: ArrayLike | None) -> IntArray:
    """(n,) number of each model's cell, from 0; without cells each model is its own cell.

    Raises:
        AnalysisError: there is not one label for each model.
    """
    if cells is None:
        return np.arange(n)
    labels = np.asarray(cells).ravel()
    if labels.size != n:
        raise AnalysisError(f"cells must have one label for each of the {n} models; got {labels.size} labels")
    index: IntArray = np.unique(labels, return_inverse=True)[1]
    return index
