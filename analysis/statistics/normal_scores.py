"""Normal scores within groups, and what natural splines in other scores leave of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from analysis.statistics.resampling import FloatArray, IntArray

LEAST_GROUP = 6  # models; a smaller group can't be adjusted for a continuous quantity
LEAST_PAIR = 2  # models of a group that is only compared within
KNOTS = {1: (), 2: (-1.28, 0.0, 1.28), 3: (-1.4, -0.43, 0.43, 1.4)}  # by the number of terms
RANK_TOLERANCE = 1e-9


def num_terms(group_size: int) -> int:
    """Terms of the spline, the straight line included: 1 below 12 models, 2 below 30, else 3."""
    return 1 if group_size < 12 else 2 if group_size < 30 else 3


def normal_scores(values: FloatArray) -> FloatArray:
    """(n, num_columns) Φ⁻¹((rank − ½)/n) of each column; tied values share the mean of their ranks."""
    scores: FloatArray = ndtri((rankdata(values, axis=0) - 0.5) / max(len(values), 1))
    return scores


def spline_terms(u: FloatArray, terms: int, knots: Sequence[float] | None = None) -> FloatArray:
    """(n, terms) u and the first terms s_1, s_2, … of a natural cubic spline: a straight line beyond the outer knots.

    s_j = [(u−k_j)₊³ − (u−k_{m−1})₊³ (k_m−k_j)/(k_m−k_{m−1}) + (u−k_m)₊³ (k_{m−1}−k_j)/(k_m−k_{m−1})]/(k_m−k_1)².

    Args:
        u: (n,) scores.
        terms: how many, u included.
        knots: k_1 < … < k_m; None: those for this number of terms.
    """
    k = KNOTS[terms] if knots is None else tuple(knots)
    found = [u]
    for j in range(terms - 1):
        cubes = [np.maximum(u - knot, 0) ** 3 for knot in (k[j], k[-2], k[-1])]
        last = k[-1] - k[-2]
        bent = cubes[0] - cubes[1] * (k[-1] - k[j]) / last + cubes[2] * (k[-2] - k[j]) / last
        found.append(bent / (k[-1] - k[0]) ** 2)
    return np.stack(found, axis=1)


def usable_models(present: NDArray[np.bool_], labels: IntArray, num_third: int) -> NDArray[np.bool_]:
    """(N,) which of the present models are in a group of sufficient size."""
    sizes = np.bincount(labels[present], minlength=int(labels.max(initial=-1)) + 1)
    kept: NDArray[np.bool_] = present & (sizes[labels] >= (LEAST_GROUP if num_third else LEAST_PAIR))
    return kept


@dataclass(frozen=True)
class Adjustment:
    """Third quantities of models in groups, ready to be subtracted from others."""

    third: FloatArray  # (n, num_third)
    labels: IntArray  # (n,) group
    terms: dict[int, int]  # by group: terms of each spline

    def among(self, kept: NDArray[np.bool_]) -> "Adjustment":
        """The same for a selection of the models, with the same numbers of terms."""
        return Adjustment(self.third[kept], self.labels[kept], self.terms)

    @cached_property
    def _members(self) -> list[IntArray]:
        return [np.flatnonzero(self.labels == label) for label in np.unique(self.labels)]

    @cached_property
    def _bases(self) -> list[FloatArray]:
        """For each group (n_g, rank) an orthonormal basis of 1 and all terms."""
        return [self._basis(members, self.terms[int(self.labels[members[0]])]) for members in self._members]

    def _basis(self, members: IntArray, terms: int) -> FloatArray:
        """(n_g, rank) an orthonormal basis of 1 and the first terms of each third quantity's spline in one group."""
        whole = self.terms[int(self.labels[members[0]])]
        splines = [spline_terms(u, whole)[:, :terms] for u in normal_scores(self.third[members]).T]
        columns = np.concatenate([np.ones((len(members), 1)), *splines], axis=1)
        left, singular, _ = np.linalg.svd(columns, full_matrices=False)
        basis: FloatArray = left[:, singular > RANK_TOLERANCE * singular[0]]
        return basis

    @cached_property
    def num_terms(self) -> int:
        """P: terms that were fitted, over all groups."""
        return sum(basis.shape[1] for basis in self._bases)

    def residuals(self, values: FloatArray) -> FloatArray:
        """(n, num_columns) what the terms leave of the values' normal scores within each group."""
        left = np.empty(values.shape)
        for members, basis in zip(self._members, self._bases, strict=True):
            scores = normal_scores(values[members])
            left[members] = scores - basis @ (basis.T @ scores)
        return left

    def squares_left(self, rows: FloatArray) -> FloatArray:
        """(draws,) Σ of squares of what the terms leave of each row (draws, n), which are residuals already."""
        fitted = np.zeros(len(rows))
        for members, basis in zip(self._members, self._bases, strict=True):
            fitted += ((rows[:, members] @ basis) ** 2).sum(axis=1)
        left: FloatArray = np.maximum((rows**2).sum(axis=1) - fitted, 0)
        return left

    def explained(self, values: FloatArray) -> FloatArray:
        """(num_columns,) R² of the normal scores, each model predicted from the others; the most over numbers of terms.

        R² = 1 − Σ(e_i/(1−h_ii))² / Σ((q_i−q̄)·n_g/(n_g−1))². NaN for a constant column.
        """
        most = max(self.terms.values()) if self.third.shape[1] else 1
        found = []
        for terms in range(1, most + 1):
            left, whole = np.zeros(values.shape[1]), np.zeros(values.shape[1])
            for members in self._members:
                scores = normal_scores(values[members])
                centred = (scores - scores.mean(axis=0)) * len(members) / (len(members) - 1)
                basis = self._basis(members, min(terms, self.terms[int(self.labels[members[0]])]))
                free = 1 - (basis**2).sum(axis=1, keepdims=True)
                # A model that alone determines a term can't be predicted from the others.
                predicted = np.divide(scores - basis @ (basis.T @ scores), free, out=centred.copy(), where=free > 1e-9)
                left, whole = left + (predicted**2).sum(axis=0), whole + (centred**2).sum(axis=0)
            found.append(1 - np.divide(left, whole, out=np.full(len(whole), np.nan), where=whole > RANK_TOLERANCE))
        explained: FloatArray = np.max(found, axis=0)
        return explained


def adjustment_for(third: FloatArray, labels: IntArray) -> Adjustment:
    """The adjustment for third quantities (n, num_third) of models in groups (n,), with terms by the groups' sizes."""
    sizes = np.unique(labels, return_counts=True)
    return Adjustment(third, labels, {int(label): num_terms(int(size)) for label, size in zip(*sizes, strict=True)})
