"""The granulated Kendall coefficient: whether a measure follows the gap along each hyperparameter separately."""

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.axes import Axes, Grid, Models


@dataclass(frozen=True)
class AxisTau:
    """τ along one axis, with all other axes fixed."""

    tau: float  # mean over lines; NaN if no line has two models
    lines: int  # combinations of the other axes with at least two values on this one
    skipped: int  # combinations with fewer


@dataclass(frozen=True)
class GranulatedKendall:
    """Ψ and the coefficients of which it is the mean."""

    psi: float  # NaN if no axis has a line
    by_axis: dict[str, AxisTau]


def granulated_kendall(
    measure: ArrayLike, gap: ArrayLike, axes: Axes | Grid, over: Collection[str] | None = None
) -> GranulatedKendall:
    """Kendall's τ along each axis with all others fixed, and the mean over axes.

    ψ_a = mean over lines of the mean of sign(Δμ)·sign(Δg) over the line's pairs, Ψ = mean_a ψ_a (Jiang et al. 2019,
    eq. 5). A line is one combination of the other axes; its τ is τ_a, so ties count 0. Several models of one
    configuration (seeds) are on the same line and are not paired with each other. Cost: O(N²) for each axis.

    Args:
        measure, gap: (N,) values; models without one of them are dropped.
        axes: (N,) values of each axis, by name. Axes that move together are one axis.
        over: the axes that Ψ averages; the others are only kept fixed. Default: all axes.

    Raises:
        AnalysisError: there are no axes, `over` names an unknown one, or the lengths differ.
    """
    models = Models.of(measure, gap, axes)
    by_axis = {
        name: _along(models, index) for index, name in enumerate(models.grid.names) if over is None or name in over
    }
    defined = [axis.tau for axis in by_axis.values() if math.isfinite(axis.tau)]
    return GranulatedKendall(float(np.mean(defined)) if defined else math.nan, by_axis)


def _along(models: Models, axis: int) -> AxisTau:
    pairs = models.pairs_along(axis)
    signs = np.sign(models.measure[pairs.i] - models.measure[pairs.j])
    signs *= np.sign(models.gap[pairs.i] - models.gap[pairs.j])
    counts, sums = np.bincount(pairs.line), np.bincount(pairs.line, weights=signs)
    whole = counts > 0
    lines = int(whole.sum())
    tau = float((sums[whole] / counts[whole]).mean()) if lines else math.nan
    return AxisTau(tau, lines, pairs.num_lines - lines)
