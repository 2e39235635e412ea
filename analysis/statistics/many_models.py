"""Kendall's τ of very many models, without their pairs: exact, with jackknife intervals over configurations."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from analysis.errors import AnalysisError
from analysis.statistics.kendall import LEVEL, MIN_FOR_INTERVAL, KendallTau
from analysis.statistics.resampling import FloatArray, IntArray, cell_index, jackknife_stderr


def kendall_of_many(x: ArrayLike, y: ArrayLike, cells: ArrayLike | None = None) -> KendallTau:
    """τ_b and τ_a as `kendall_tau` gives them, and the same jackknife; the interval is the jackknife's.

    τ_b ± t·se with Student's t for one degree of freedom less than there are cells, within [−1, 1]. Leaving out a cell
    takes from Σ_{i<j} s^x_ij s^y_ij the sums c_i of its models, and gives back the pairs within it. The c_i follow from
    counts of models that are lower in both quantities, by sorting. Cost: O(N log² N), 0.4 s for 100 000 models.

    Args:
        x, y: (N,) values; NaN or infinite ones are missing, and their models are dropped and counted.
        cells: (N,) labels; models of one cell are left out together.

    Raises:
        AnalysisError: the lengths differ.
    """
    first, second = (np.asarray(values, dtype=np.float64).ravel() for values in (x, y))
    if first.size != second.size:
        raise AnalysisError(f"x and y must have the same length; got {first.size} and {second.size}")
    known = np.isfinite(first) & np.isfinite(second)
    labels = np.unique(cell_index(first.size, cells)[known], return_inverse=True)[1]
    a, b = (np.unique(values[known], return_inverse=True)[1] for values in (first, second))
    n, num_cells = len(a), int(labels.max(initial=-1)) + 1
    pairs = n * (n - 1) / 2
    total, untied_a, untied_b = _with_each_cell_left_out(a, b, labels, num_cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        taus = np.where(untied_a * untied_b > 0, total / np.sqrt(untied_a * untied_b), math.nan)
    tau = float(taus[0])
    defined = num_cells >= MIN_FOR_INTERVAL and math.isfinite(tau)
    stderr = float(jackknife_stderr(taus[1:])) if defined else math.nan
    low, high = (float(np.clip(tau + student.ppf(level, num_cells - 1) * stderr, -1, 1)) for level in LEVEL)
    tied_in_both = pairs - _untied(a * (int(b.max(initial=0)) + 1) + b)
    ties = (pairs - untied_a[0]) + (pairs - untied_b[0]) - tied_in_both
    tau_a = float(total[0] / pairs) if pairs else math.nan
    return KendallTau(tau, tau_a, n, int(ties), int(first.size - n), stderr, low, high)


def _with_each_cell_left_out(
    a: IntArray, b: IntArray, labels: IntArray, num_cells: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(1 + num_cells,) each: Σ s^a s^b, and the pairs untied in a and in b; of all models, then without each cell."""
    everything, alone = concordance(a, b, np.zeros_like(labels)), concordance(a, b, labels)
    sums = [np.bincount(labels, weights=values, minlength=num_cells) for values in (everything, alone)]
    total = everything.sum() / 2
    left_out = total - sums[0] + sums[1] / 2
    return np.append(total, left_out), _untied_left_out(a, labels, num_cells), _untied_left_out(b, labels, num_cells)


def concordance(a: IntArray, b: IntArray, groups: IntArray) -> FloatArray:
    """(N,) c_i = Σ_j s^a_ij s^b_ij over the models j of the same group, from ranks a and b.

    c = #(<, <) + #(>, >) − #(<, >) − #(>, <). All four follow from the first, from counts within one quantity, and from
    counts within the ties of the other.
    """
    lower_both = _lower_in_both(a, b, groups)
    size = np.bincount(groups, minlength=1)[groups]
    lower_a, upto_a = _counts(groups, a)
    lower_b, upto_b = _counts(groups, b)
    ties_b = _numbered(groups, b)
    ties_a = _numbered(groups, a)
    lower_a_same_b, upto_a_same_b = _counts(ties_b, a)
    lower_b_same_a, _ = _counts(ties_a, b)
    low_high = lower_a - lower_both - lower_a_same_b
    high_low = lower_b - lower_both - lower_b_same_a
    same_b = upto_b - lower_b
    higher_a_same_b = same_b - upto_a_same_b
    high_high = (size - upto_a) - high_low - higher_a_same_b
    result: FloatArray = (lower_both + high_high - low_high - high_low).astype(np.float64)
    return result


def _numbered(groups: IntArray, ranks: IntArray) -> IntArray:
    """(N,) the number of each model's (group, rank)."""
    numbers: IntArray = np.unique(groups * (int(ranks.max(initial=0)) + 1) + ranks, return_inverse=True)[1]
    return numbers


def _counts(groups: IntArray, ranks: IntArray) -> tuple[IntArray, IntArray]:
    """(N,) each: how many models of the same group have a lower rank, and how many have no higher one."""
    key = groups.astype(np.int64) * (int(ranks.max(initial=0)) + 1) + ranks
    ordered = np.sort(key)
    start = np.searchsorted(np.sort(groups), groups)
    return np.searchsorted(ordered, key, "left") - start, np.searchsorted(ordered, key, "right") - start


def _lower_in_both(a: IntArray, b: IntArray, groups: IntArray) -> IntArray:
    """(N,) how many models of the same group are lower in a and in b.

    In the order of (group, a, −b) they are the earlier models with a lower value, if later groups have lower values
    throughout. Earlier lower ones are counted block by block, as merge sort meets them.
    """
    n = len(a)
    order = np.lexsort((-b, a, groups))
    values = np.unique((groups.max(initial=0) - groups) * (int(b.max(initial=0)) + 1) + b, return_inverse=True)[1]
    ordered = values[order].astype(np.int64)
    counts = np.zeros(n, dtype=np.intp)
    position = np.arange(n, dtype=np.int64)
    width = 1
    while width < n:
        block, right = position // (2 * width), position // width % 2
        key = (block * n + ordered) * 2 + 1 - right  # of equal values the right one first: it is not lower
        merged = np.argsort(key, kind="stable")
        lefts = np.cumsum(1 - right[merged])
        # The left halves of earlier blocks are all full.
        counts[merged] += np.where(right[merged] == 1, lefts - block[merged] * width, 0)
        width *= 2
    result = np.empty(n, dtype=np.intp)
    result[order] = counts
    return result


def _untied(levels: IntArray) -> float:
    counts = np.unique(levels, return_counts=True)[1].astype(np.float64)
    return float((counts.sum() ** 2 - (counts**2).sum()) / 2)


def _untied_left_out(levels: IntArray, labels: IntArray, num_cells: int) -> FloatArray:
    """(1 + num_cells,) pairs with different levels: of all models, then without each cell."""
    by_level = np.bincount(levels, minlength=1).astype(np.float64)
    both, counts = np.unique(labels.astype(np.int64) * len(by_level) + levels, return_counts=True)
    cell, level = both // len(by_level), both % len(by_level)
    change = counts**2 - 2.0 * by_level[level] * counts
    squares = (by_level**2).sum() + np.bincount(cell, weights=change, minlength=num_cells)
    sizes = by_level.sum() - np.bincount(labels, minlength=num_cells)
    left_out = (sizes**2 - squares) / 2
    return np.append((by_level.sum() ** 2 - (by_level**2).sum()) / 2, left_out)
