"""Conditional mutual information: does a measure tell the gap's order beyond what the hyperparameters tell?"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.axes import Axes, Models
from analysis.statistics.resampling import FloatArray, IntArray

SIGNS = 3  # −, 0, +


@dataclass(frozen=True)
class ConditionalInformation:
    """K and the normalized informations it is the least of."""

    k: float  # in [0, 1]; NaN where every condition leaves the gap's order certain
    given: dict[tuple[str, ...], float]  # Î by the axes conditioned on; NaN where undefined
    n: int  # models


def conditional_mutual_information(
    measure: ArrayLike, gap: ArrayLike, axes: Axes, most_axes: int = 2
) -> ConditionalInformation:
    """The least normalized information that a measure's order carries about the gap's, given up to two axes.

    Over ordered pairs of models, V_μ = sign(Δμ), V_g = sign(Δg), and U_S the two models' values on the axes S:
    Î_S = I(V_μ; V_g | U_S) / H(V_g | U_S), K = min_S Î_S over |S| ≤ 2 (Jiang et al. 2019, eqs. 7–9). K ignores the
    direction: a measure that always opposes the gap scores 1. Cost O(N²) a set S.

    Args:
        measure, gap: (N,) values; models that miss one are dropped.
        axes: (N,) values of each axis, by name. Axes that move together are one axis.
        most_axes: the largest S.

    Raises:
        AnalysisError: there are no axes, or the lengths differ.
    """
    models = Models.of(measure, gap, axes)
    n = len(models.measure)
    first, second = np.nonzero(~np.eye(n, dtype=bool))
    v_measure = np.sign(models.measure[first] - models.measure[second]).astype(np.intp) + 1
    v_gap = np.sign(models.gap[first] - models.gap[second]).astype(np.intp) + 1
    given: dict[tuple[str, ...], float] = {}
    for size in range(most_axes + 1):
        for chosen in itertools.combinations(range(len(models.names)), size):
            cells = _cells(models.codes[:, list(chosen)])
            condition = cells[first] * n + cells[second]
            names = tuple(models.names[index] for index in chosen)
            given[names] = _normalized_information(v_measure, v_gap, condition)
    defined = [value for value in given.values() if math.isfinite(value)]
    return ConditionalInformation(min(defined, default=math.nan), given, n)


def _cells(codes: IntArray) -> IntArray:
    """(n,) consecutive numbers of the models' values on some axes."""
    cells: IntArray = np.unique(codes, axis=0, return_inverse=True)[1].ravel() if codes.shape[1] else codes.sum(axis=1)
    return cells


def _normalized_information(v_measure: IntArray, v_gap: IntArray, condition: IntArray) -> float:
    """I(V_μ; V_g | U) / H(V_g | U); NaN where the denominator is 0."""
    if not len(condition):
        return math.nan
    _, u = np.unique(condition, return_inverse=True)
    joint = np.bincount((u * SIGNS + v_measure) * SIGNS + v_gap, minlength=(int(u.max()) + 1) * SIGNS**2)
    p = joint.reshape(-1, SIGNS, SIGNS) / len(condition)
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
