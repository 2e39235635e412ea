"""Rank agreement that other quantities do not account for: partial τ of normal scores, with its interval and test.

Measure and gap are turned into normal scores within each group, and a natural spline in the scores of the third
quantities is subtracted from both. What remains is correlated. Unlike formulas made of three τ, this is a correlation
of vectors, so it is in [−1, 1] by itself, and 0 in expectation where the two agree only through the third quantities,
be it along a curve.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from analysis.errors import AnalysisError
from analysis.statistics.normal_scores import Adjustment, adjustment_for, usable_models
from analysis.statistics.order_selection import adjusted_p_values
from analysis.statistics.pairs import as_columns
from analysis.statistics.relabeling import Design, Null
from analysis.statistics.resampling import FloatArray, jackknife_stderr

NORMAL_QUANTILE = 1.96
MOST_EXPLAINED = 0.75  # R²; above it little of a quantity is left to correlate
LEAST_EFFECTIVE = 6.0  # configurations
ALMOST_ONE = 1 - 1e-12  # atanh of a correlation of 1 would be infinite


@dataclass(frozen=True)
class PartialTau:
    """Partial τ of many columns with the gap; NaN if undefined."""

    r: FloatArray  # (num_columns,) correlation of the residual normal scores
    tau: FloatArray  # (2/π)·asin r: on the scale of τ
    ci_low: FloatArray  # 95 %, of tau
    ci_high: FloatArray
    p_value: FloatArray  # Freedman–Lane permutation test, two-sided
    p_adjusted: FloatArray  # for the number of estimable columns; NaN for the others
    p_t: FloatArray  # t-test with N − P − 1 degrees of freedom, which the seeds and the axes make too small
    explained_x: FloatArray  # R² of the column by the third quantities, each model predicted from the others
    explained_y: FloatArray  # of the gap
    effective: FloatArray  # (G − P)(1 − R²_x): configurations that are left for the correlation
    estimable: NDArray[np.bool_]
    n: NDArray[np.intp]  # models used
    dropped: NDArray[np.intp]  # models with all values whose group is too small
    null: Null  # of the p-values


def partial_tau(
    columns: ArrayLike,
    gap: ArrayLike,
    third: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    design: Design | None = None,
    seed: int = 0,
) -> PartialTau:
    """Rank agreement with the gap that the third quantities and the groups do not account for.

    Within each group g the normal scores q = Φ⁻¹((rank − ½)/n_g) of column and gap are regressed on 1 and on natural
    splines in the scores of the third quantities; with the residuals e, r = Σ e_x e_y / √(Σe_x² Σe_y²) over all groups
    and τ·z = (2/π)·asin r. Interval: tanh(atanh r ± 1.96/√(ν − 1)), ν = N − P − 1 with P terms; with several seeds a
    configuration, jackknife over configurations of atanh r with the t of G − 1. Test: the residuals of the gap are
    reassigned by `design.null`, residuals are taken again, and |r| compared (Freedman and Lane 1983). A column is
    estimable if R² ≤ .75 for it and for the gap, and (G − P)(1 − R²_x) ≥ 6. If the third quantity itself is measured
    with errors, part of the confounding stays: with noise of a fifth of its spread a true null is rejected at .06, .13
    and .25 where its τ with the column is .5, .8 and .95. Cost: draws · N · num_columns multiplications.

    Args:
        columns: (N, num_columns) measures.
        gap: (N,) values.
        third: (N,) or (N, num_third) continuous quantities that the two may merely reflect; None: only groups.
        groups: (N,) labels of the discrete third quantities; only models of one group are compared.
        design: where the models stand in the grid; None: each is a configuration of its own.
        seed: of random permutations.

    Raises:
        AnalysisError: the lengths differ.
    """
    x, y = as_columns(columns), np.asarray(gap, dtype=np.float64).ravel()
    z = np.zeros((len(y), 0)) if third is None else as_columns(third)
    labels = np.zeros(len(y), dtype=np.intp) if groups is None else np.asarray(groups).ravel()
    where = Design.of_cells(len(y)) if design is None else design
    lengths = {"columns": len(x), "gap": y.size, "third": len(z), "groups": labels.size, "design": where.n}
    if len(set(lengths.values())) > 1:
        raise AnalysisError(f"columns, gap, third, groups and design must have one entry a model; got {lengths}")
    labels = np.unique(labels, return_inverse=True)[1].ravel()
    complete = np.isfinite(y) & np.isfinite(z).all(axis=1)
    base = usable_models(complete, labels, z.shape[1])
    null = where.among(base).null(None if groups is None else labels[base], seed)
    residual_gap = np.zeros(len(y))
    if base.any():
        residual_gap[base] = adjustment_for(z[base], labels[base]).residuals(y[base, None])[:, 0]
    permuted = residual_gap[base][null.permutations]
    found = _Found(x.shape[1], len(null.permutations))
    patterns, of_column = np.unique(np.isfinite(x), axis=1, return_inverse=True)
    for number, present in enumerate(patterns.T):
        chosen = np.flatnonzero(of_column.ravel() == number)
        kept = usable_models(complete & present, labels, z.shape[1])
        found.dropped[chosen] = (complete & present).sum() - kept.sum()
        if kept.any():
            one = _Pattern(x[kept][:, chosen], y[kept], adjustment_for(z[kept], labels[kept]), where.among(kept))
            found.fill(chosen, one, permuted[:, kept[base]])
    return found.result(null)


@dataclass(frozen=True)
class _Pattern:
    """Columns that have values in the same models."""

    x: FloatArray  # (n, num_columns)
    y: FloatArray  # (n,)
    adjustment: Adjustment
    design: Design

    def correlations(self) -> FloatArray:
        """(num_columns,) r."""
        e_x, e_y = self.adjustment.residuals(self.x), self.adjustment.residuals(self.y[:, None])[:, 0]
        return _over(e_y @ e_x, np.sqrt((e_x**2).sum(axis=0) * (e_y**2).sum()))

    def permuted(self, gaps: FloatArray) -> FloatArray:
        """(draws, num_columns) r with reassigned residuals of the gap (draws, n)."""
        e_x = self.adjustment.residuals(self.x)
        left = self.adjustment.squares_left(gaps)
        return _over(gaps @ e_x, np.sqrt(left[:, None] * (e_x**2).sum(axis=0)))

    def interval(self, r: FloatArray) -> tuple[FloatArray, FloatArray]:
        """95 % interval of τ, by the formula for single seeds, or by jackknife over configurations."""
        z, size = np.arctanh(np.clip(r, -ALMOST_ONE, ALMOST_ONE)), self.design.num_cells
        freedom = len(self.y) - self.adjustment.num_terms - 1
        if size == len(self.y):
            half = np.full(r.shape, NORMAL_QUANTILE / math.sqrt(freedom - 1) if freedom > 1 else math.nan)
        else:
            cells = range(size)
            left_out = np.array([self._without(self.design.cells != cell) for cell in cells])
            stderr = jackknife_stderr(np.arctanh(np.clip(left_out, -ALMOST_ONE, ALMOST_ONE)))
            half = stdtrit(size - 1, 0.975) * stderr if size > 1 else np.full(r.shape, math.nan)
        low, high = (2 / math.pi * np.arcsin(np.tanh(z + sign * half)) for sign in (-1, 1))
        return low, high

    def _without(self, kept: NDArray[np.bool_]) -> FloatArray:
        """(num_columns,) r of a selection of the models, with as many spline terms as for all."""
        return _Pattern(self.x[kept], self.y[kept], self.adjustment.among(kept), self.design).correlations()


class _Found:
    """The results, filled in for the columns of one pattern after the other."""

    def __init__(self, num_columns: int, draws: int) -> None:
        self.r, self.low, self.high, self.p_t, self.explained_x, self.explained_y, self.effective = (
            np.full(num_columns, math.nan) for _ in range(7)
        )
        self.n, self.dropped = np.zeros(num_columns, dtype=np.intp), np.zeros(num_columns, dtype=np.intp)
        self.permuted = np.full((draws, num_columns), math.nan)

    def fill(self, chosen: NDArray[np.intp], one: _Pattern, permuted: FloatArray) -> None:
        self.n[chosen] = len(one.y)
        r = self.r[chosen] = one.correlations()
        self.low[chosen], self.high[chosen] = one.interval(r)
        freedom = len(one.y) - one.adjustment.num_terms - 1
        if freedom > 0:
            t = np.abs(r) * np.sqrt(freedom / np.maximum(1 - r**2, 1e-300))
            self.p_t[chosen] = 2 * stdtr(freedom, -t)
        self.explained_x[chosen] = one.adjustment.explained(one.x)
        self.explained_y[chosen] = one.adjustment.explained(one.y[:, None])[0]
        left = one.design.num_cells - one.adjustment.num_terms
        self.effective[chosen] = left * (1 - np.maximum(self.explained_x[chosen], 0))
        self.permuted[:, chosen] = one.permuted(permuted)

    def result(self, null: Null) -> PartialTau:
        explained = np.maximum(self.explained_x, self.explained_y)
        estimable = np.isfinite(self.r) & (explained <= MOST_EXPLAINED) & (self.effective >= LEAST_EFFECTIVE)
        p_value, _ = adjusted_p_values(self.r, self.permuted)
        _, p_adjusted = adjusted_p_values(np.where(estimable, self.r, math.nan), self.permuted)
        defined = np.isfinite(self.r)
        low, high, p_t = (np.where(defined, values, math.nan) for values in (self.low, self.high, self.p_t))
        return PartialTau(
            self.r, 2 / math.pi * np.arcsin(np.clip(self.r, -1, 1)), low, high, p_value, p_adjusted, p_t,
            self.explained_x, self.explained_y, self.effective, estimable, self.n, self.dropped, null,
        )  # fmt: skip


def _over(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """The quotient; NaN where nothing of a quantity is left."""
    quotient = np.full(numerator.shape, math.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 1e-9)
    return quotient
