"""Conditional mutual information: whether a measure says more about the order of the gaps than the hyperparameters.

There are two conventions. `"jiang"` is ours, after Jiang et al. 2019; `"pgdl"` is that of the PGDL competition, whose
published scores it reproduces. They differ in five places, and the same models have different K under them:

|  | `"jiang"` | `"pgdl"` |
|---|---|---|
| conditions S | none, one axis, two axes | exactly two axes |
| order of two values | −, 0 or + | greater or not: a tie is "not greater" |
| pairs | ordered pairs of different models | the pairs of a model with itself too |
| cells u (the two models' values on S) | weighted by their number of pairs | each counts alike |

The competition takes logarithms of base 2, and we natural ones; the ratio does not depend on it.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import AnalysisError
from analysis.statistics.axes import Axes, Grid, Models
from analysis.statistics.resampling import FloatArray, IntArray

Convention = Literal["jiang", "pgdl"]
SIGNS = 3  # −, 0, +
PGDL_AXES = 2
NO_INFORMATION = 1e-12  # an entropy below this is 0 but for round-off


@dataclass(frozen=True)
class ConditionalInformation:
    """K and the normalized informations of which it is the minimum."""

    k: float  # in [0, 1]; NaN if every condition already determines the order of the gaps
    given: dict[tuple[str, ...], float]  # Î by the axes in the condition; NaN if undefined
    n: int  # models
    convention: Convention = "jiang"


def conditional_mutual_information(
    measure: ArrayLike, gap: ArrayLike, axes: Axes | Grid, most_axes: int = 2, convention: Convention = "jiang"
) -> ConditionalInformation:
    """The smallest normalized information about the gap's order in a measure's order, given up to two axes.

    Over ordered pairs of models, V_μ = sign(Δμ), V_g = sign(Δg), and U_S the two models' values on the axes S:
    Î_S = I(V_μ; V_g | U_S) / H(V_g | U_S), K = min_S Î_S over |S| ≤ 2 (Jiang et al. 2019, eqs. 7–9). K ignores the
    direction: a measure that always opposes the gap scores 1. Cost: O(N²) for each set S.

    With `convention="pgdl"` K is that of the PGDL competition (Jiang et al. 2020): V_μ = [μ_i > μ_j] and
    V_g = [gap_i > gap_j] over all (i, j), i = j included, and Î_S = Σ_u I(V_μ; V_g | u) / Σ_u H(V_g | u) with the cells
    u alike, for |S| = 2 alone. The module's table sets the two side by side.

    Args:
        measure, gap: (N,) values; models without one of them are dropped.
        axes: (N,) values of each axis, by name. Axes that move together are one axis.
        most_axes: size of the largest S; the competition's convention does not read it.
        convention: which of the two.

    Raises:
        AnalysisError: there are no axes, fewer than two in the competition's convention, the lengths differ, or there
            is no such convention.
    """
    if convention not in get_args(Convention):
        raise AnalysisError(f"convention must be one of {', '.join(get_args(Convention))}; got {convention!r}")
    models = Models.of(measure, gap, axes)
    names = models.grid.names
    if convention == "pgdl" and len(names) < PGDL_AXES:
        raise AnalysisError(
            f"convention 'pgdl' conditions on two axes, so it needs at least two; got {', '.join(names)}: use 'jiang'"
        )
    codes = models.grid.codes[models.present]
    values = models.measure[models.present], models.gap[models.present]
    sizes = [PGDL_AXES] if convention == "pgdl" else range(most_axes + 1)
    information = _of_pgdl(*values) if convention == "pgdl" else _of_jiang(*values)
    given = {
        tuple(names[index] for index in chosen): information(_cells(codes[:, list(chosen)]))
        for chosen in _subsets(len(names), sizes)
    }
    defined = [value for value in given.values() if math.isfinite(value)]
    return ConditionalInformation(min(defined, default=math.nan), given, len(codes), convention)


def _subsets(num_axes: int, sizes: Sequence[int]) -> list[tuple[int, ...]]:
    return [chosen for size in sizes for chosen in itertools.combinations(range(num_axes), size)]


def _cells(codes: IntArray) -> IntArray:
    """(n,) consecutive numbers of the models' values on some axes."""
    cells: IntArray = np.unique(codes, axis=0, return_inverse=True)[1].ravel() if codes.shape[1] else codes.sum(axis=1)
    return cells


def _counts(values: IntArray, num_values: int, cells: IntArray) -> IntArray:
    """(num_cells², num_values) how many ordered pairs of models have a cell u and a value.

    Args:
        values: (n, n) a number below `num_values` for each ordered pair.
        cells: (n,) number of each model's values on the axes of S.
    """
    size = int(cells.max()) + 1
    condition = cells[:, None] * size + cells
    counts = np.bincount((condition * num_values + values).ravel(), minlength=size**2 * num_values)
    shaped: IntArray = counts.reshape(-1, num_values)
    return shaped


def _of_jiang(measure: FloatArray, gap: FloatArray) -> Callable[[IntArray], float]:
    """Î by cells: I(V_μ; V_g | U) / H(V_g | U); NaN where the denominator is 0."""
    signs = SIGNS * _signs(measure) + _signs(gap)
    n = len(gap)

    def information(cells: IntArray) -> float:
        if n < 2:
            return math.nan
        counts = _counts(signs, SIGNS**2, cells).reshape(-1, SIGNS, SIGNS)
        # Remove the pairs of a model with itself: both signs are 0, both cells are its own.
        counts[:: int(cells.max()) + 2, 1, 1] -= np.bincount(cells)
        p = counts / (n * (n - 1))
        entropy_u = _entropy(p.sum(axis=(1, 2)))
        entropy_gap = _entropy(p.sum(axis=1)) - entropy_u  # H(V_g | U)
        entropy_measure = _entropy(p.sum(axis=2)) - entropy_u
        return _normalized(entropy_measure + entropy_gap - (_entropy(p) - entropy_u), entropy_gap)

    return information


def _of_pgdl(measure: FloatArray, gap: FloatArray) -> Callable[[IntArray], float]:
    """Î by cells: Σ_u I(V_μ; V_g | u) / Σ_u H(V_g | u); NaN where the denominator is 0."""
    greater = 2 * (measure[:, None] > measure).astype(np.intp) + (gap[:, None] > gap)

    def information(cells: IntArray) -> float:
        if not len(cells):
            return math.nan
        counts = _counts(greater, 4, cells).reshape(-1, 2, 2)
        counts = counts[counts.any(axis=(1, 2))]
        p = counts / counts.sum(axis=(1, 2), keepdims=True)  # relative frequencies within each cell
        entropy_gap = _entropy(p.sum(axis=1))  # Σ_u H(V_g | u)
        return _normalized(_entropy(p.sum(axis=2)) + entropy_gap - _entropy(p), entropy_gap)

    return information


def _normalized(information: float, entropy: float) -> float:
    return math.nan if entropy < NO_INFORMATION else max(information / entropy, 0.0)


def _signs(values: FloatArray) -> IntArray:
    """(n, n) 0, 1 or 2 if the first of two models has the smaller, the same or the larger value."""
    signs: IntArray = np.sign(values[:, None] - values).astype(np.intp) + 1
    return signs


def _entropy(p: NDArray[np.float64]) -> float:
    """−Σ p log p over all entries, in nats; several distributions at once give the sum of their entropies."""
    positive = p[p > 0]
    return float(-(positive * np.log(positive)).sum())
