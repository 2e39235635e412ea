"""Conditional mutual information: whether a measure says more about the order of the gaps than the hyperparameters."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.axes import Axes, Grid, Models
from analysis.statistics.resampling import FloatArray, IntArray

SIGNS = 3  # −, 0, +


@dataclass(frozen=True)
class ConditionalInformation:
    """K and the normalized informations of which it is the minimum."""

    k: float  # in [0, 1]; NaN if every condition already determines the order of the gaps
    given: dict[tuple[str, ...], float]  # Î by the axes in the condition; NaN if undefined
    n: int  # models


def conditional_mutual_information(
    measure: ArrayLike, gap: ArrayLike, axes: Axes | Grid, most_axes: int = 2
) -> ConditionalInformation:
    """The smallest normalized information about the gap's order in a measure's order, given up to two axes.

    Over ordered pairs of models, V_μ = sign(Δμ), V_g = sign(Δg), and U_S the two models' values on the axes S:
    Î_S = I(V_μ; V_g | U_S) / H(V_g | U_S), K = min_S Î_S over |S| ≤ 2 (Jiang et al. 2019, eqs. 7–9). K ignores the
    direction: a measure that always opposes the gap scores 1. Cost: O(N²) for each set S.

    Args:
        measure, gap: (N,) values; models without one of them are dropped.
        axes: (N,) values of each axis, by name. Axes that move together are one axis.
        most_axes: size of the largest S.

    Raises:
        AnalysisError: there are no axes, or the lengths differ.
    """
    models = Models.of(measure, gap, axes)
    codes = models.grid.codes[models.present]
    n = len(codes)
    measure_signs, gap_signs = (_signs(values[models.present]) for values in (models.measure, models.gap))
    given: dict[tuple[str, ...], float] = {}
    for size in range(most_axes + 1):
        for chosen in itertools.combinations(range(len(models.grid.names)), size):
            names = tuple(models.grid.names[index] for index in chosen)
            given[names] = _normalized_information(SIGNS * measure_signs + gap_signs, _cells(codes[:, list(chosen)]))
    defined = [value for value in given.values() if math.isfinite(value)]
    return ConditionalInformation(min(defined, default=math.nan), given, n)


def _signs(values: FloatArray) -> IntArray:
    """(n, n) 0, 1 or 2 if the first of two models has the smaller, the same or the larger value."""
    signs: IntArray = np.sign(values[:, None] - values).astype(np.intp) + 1
    return signs


def _cells(codes: IntArray) -> IntArray:
    """(n,) consecutive numbers of the models' values on some axes."""
    cells: IntArray = np.unique(codes, axis=0, return_inverse=True)[1].ravel() if codes.shape[1] else codes.sum(axis=1)
    return cells


def _normalized_information(signs: IntArray, cells: IntArray) -> float:
    """I(V_μ; V_g | U) / H(V_g | U); NaN where the denominator is 0.

    Args:
        signs: (n, n) both signs of each ordered pair, as one number.
        cells: (n,) number of each model's values on the axes of U.
    """
    n = len(cells)
    if n < 2:
        return math.nan
    size = int(cells.max()) + 1
    condition = cells[:, None] * size + cells
    counts = np.bincount((condition * SIGNS**2 + signs).ravel(), minlength=size**2 * SIGNS**2)
    counts = counts.reshape(-1, SIGNS, SIGNS)
    # Remove the pairs of a model with itself: both signs are 0, both cells are its own.
    counts[:: size + 1, 1, 1] -= np.bincount(cells)
    p = counts / (n * (n - 1))
    entropy_u = _entropy(p.sum(axis=(1, 2)))
    entropy_gap = _entropy(p.sum(axis=1)) - entropy_u  # H(V_g | U)
    entropy_measure = _entropy(p.sum(axis=2)) - entropy_u
    entropy_both = _entropy(p) - entropy_u
    if entropy_gap < 1e-12:
        return math.nan
    return max((entropy_measure + entropy_gap - entropy_both) / entropy_gap, 0.0)


def _entropy(p: FloatArray) -> float:
    positive = p[p > 0]
    return float(-(positive * np.log(positive)).sum())
