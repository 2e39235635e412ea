"""τ within and between groups of models: whether a pooled τ is that of the groups, or a contrast between them.

With π the share of pairs across groups, and without ties, τ = (1 − π)·τ_W + π·τ_B. A measure may follow the gap within
each optimizer and yet oppose it over all models, where one optimizer has larger gaps and smaller values.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc, comb, fdtrc, ndtri, stdtr, stdtrit

from analysis.errors import AnalysisError
from analysis.statistics.kendall import MIN_FOR_INTERVAL
from analysis.statistics.pairs import PairSums, as_columns
from analysis.statistics.relabeling import Design, Null
from analysis.statistics.resampling import FloatArray, IntArray, jackknife_multiplicities, jackknife_stderr

FIELLER = 0.437  # variance of atanh τ_b: .437/(n − 4) without association, by Fieller, Hartley and Pearson (1957)


@dataclass(frozen=True)
class GroupedTau:
    """τ of many columns within and between groups; NaN if undefined."""

    groups: tuple[object, ...]  # their labels
    tau: FloatArray  # (num_columns,) τ_b over all pairs
    within: FloatArray  # τ_W: over the pairs of models of one group
    between: FloatArray  # τ_B: over the pairs of models of two groups
    across: float  # π: share of pairs across groups
    by_group: FloatArray  # (num_groups, num_columns) τ_g
    within_low: FloatArray  # (num_columns,) 95 % interval of τ_W, jackknife over configurations
    within_high: FloatArray
    contrast: FloatArray  # δ = τ − τ_W
    contrast_low: FloatArray  # 95 %, jackknife t
    contrast_high: FloatArray
    contrast_p: FloatArray
    heterogeneity_p: FloatArray  # Welch's test that all groups have one τ
    qualitative_p: FloatArray  # Gail and Simon's test that no two groups have opposed signs
    left_out: FloatArray  # (num_configurations, num_columns) τ_W without each configuration


def grouped_kendall(columns: ArrayLike, gap: ArrayLike, groups: ArrayLike, design: Design | None = None) -> GroupedTau:
    """τ_b within groups, between them, and in each, with tests that they differ.

    τ_W = Σ_g Σ_{i<j in g} s^x_ij s^y_ij over the root of the product of these pairs' untied numbers; τ_B the same over
    pairs across groups. Every uncertainty is a jackknife over configurations. A group needs 5 of them to enter the
    tests of heterogeneity; they use atanh τ_g, with half a pair taken from a perfect agreement. Cost: as many times
    that of τ as there are configurations.

    Args:
        columns: (N, num_columns) measures.
        gap: (N,) values.
        groups: (N,) labels.
        design: where the models stand in the grid; None: each is a configuration of its own.

    Raises:
        AnalysisError: the lengths differ.
    """
    sums = PairSums(columns, gap)
    where = Design.of_cells(sums.n) if design is None else design
    values = np.asarray(groups).ravel()
    lengths = {"gap": sums.n, "groups": values.size, "design": where.n}
    if len(set(lengths.values())) > 1:
        raise AnalysisError(f"columns, gap, groups and design must have one entry a model; got {lengths}")
    names, labels = np.unique(values, return_inverse=True)
    weights = np.concatenate([np.ones((1, sums.n)), jackknife_multiplicities(sums.n, where.cells)])
    whole = _PairCounts.of(sums, weights)
    inside = [
        _PairCounts.of(PairSums(sums.columns[chosen], sums.gap[chosen]), weights[:, chosen])
        for chosen in (labels.ravel() == group for group in range(len(names)))
    ]
    within = _PairCounts(*(sum(getattr(one, name) for one in inside) for name in ("concordance", "x", "y")))
    tau, tau_within = whole.tau(), within.tau()
    tests = [_group_test(one, where.cells[labels.ravel() == group]) for group, one in enumerate(inside)]
    xi, variance, size = (np.array([test[entry] for test in tests]) for entry in range(3))
    tau_between = _PairCounts(
        *(getattr(whole, name) - getattr(within, name) for name in ("concordance", "x", "y"))
    ).tau()
    contrast, within_interval = _jackknife(tau - tau_within), _jackknife(tau_within)
    pairs = sums.n * (sums.n - 1) / 2
    sizes = np.bincount(labels.ravel())
    return GroupedTau(
        tuple(names.tolist()), tau[0], tau_within[0], tau_between[0],
        1 - float((sizes * (sizes - 1) / 2).sum()) / pairs if pairs else math.nan,
        np.array([one.tau()[0] for one in inside]).reshape(len(inside), sums.num_columns),
        np.maximum(within_interval[1], -1), np.minimum(within_interval[2], 1), *contrast,
        heterogeneity_test(xi, variance, size), qualitative_test(_normal_quantiles(xi, variance, size)), tau_within[1:],
    )  # fmt: skip


def permuted_within_taus(columns: ArrayLike, gap: ArrayLike, groups: ArrayLike, null: Null) -> FloatArray:
    """(draws, num_columns) τ_W of every column with gaps reassigned within the groups: its null distribution.

    Args:
        columns, gap, groups: as for `grouped_kendall`.
        null: from `Design.null` with the same groups.
    """
    x, y = as_columns(columns), np.asarray(gap, dtype=np.float64).ravel()
    labels = np.unique(np.asarray(groups).ravel(), return_inverse=True)[1].ravel()
    sums = [np.zeros((len(null.permutations), x.shape[1])) for _ in range(3)]
    for group in range(labels.max(initial=-1) + 1):
        members = np.flatnonzero(labels == group)
        place = np.zeros(len(labels), dtype=np.intp)
        place[members] = np.arange(len(members))
        found = PairSums(x[members], y[members]).permuted_sums(place[null.permutations[:, members]])
        sums = [total + one for total, one in zip(sums, found, strict=True)]
    return _PairCounts(*sums).tau()


def heterogeneity_test(xi: ArrayLike, variance: ArrayLike, size: ArrayLike) -> FloatArray:
    """p-values of Welch's F* that several estimates have one mean.

    w = 1/v, W = Σw: F = [Σw(ξ − ξ̄)²/(k − 1)] / [1 + 2(k − 2)h/(k² − 1)] with h = Σ(1 − w/W)²/(n − 1), on k − 1 and
    (k² − 1)/(3h) degrees of freedom.

    Args:
        xi, variance, size: (num_groups, …) estimates, their variances, and numbers of configurations; NaN: left out.

    Returns:
        (…) p-values; NaN with fewer than two groups.
    """
    estimates, v, n = (np.asarray(values, dtype=np.float64) for values in (xi, variance, size))
    used = np.isfinite(estimates) & np.isfinite(v)
    w = np.where(used, 1 / np.where(used, v, 1), 0)
    k, total = used.sum(axis=0), w.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (w * np.where(used, estimates, 0)).sum(axis=0) / total
        spread = (w * np.where(used, estimates - mean, 0) ** 2).sum(axis=0)
        h = np.where(used, (1 - w / total) ** 2 / (n - 1), 0).sum(axis=0)
        statistic = spread / (k - 1) / (1 + 2 * (k - 2) * h / (k**2 - 1))
        p_values: FloatArray = np.where(k > 1, fdtrc(k - 1, (k**2 - 1) / (3 * h), statistic), math.nan)
    return p_values


def qualitative_test(quantiles: ArrayLike) -> FloatArray:
    """p-values of Gail and Simon's test (1985) against groups of opposed signs.

    p = Σ_{j=1}^{k−1} C(k−1, j)·2^{1−k}·P(χ²_j > min(Q₊, Q₋)), Q₊ = Σ q² over positive and Q₋ over negative groups.

    Args:
        quantiles: (num_groups, …) estimates over their standard errors, as normal quantiles; NaN: left out.

    Returns:
        (…) p-values; NaN with fewer than two groups.
    """
    q = np.asarray(quantiles, dtype=np.float64)
    k = np.isfinite(q).sum(axis=0)
    squares = np.where(np.isfinite(q), q**2, 0)
    least = np.minimum((squares * (q > 0)).sum(axis=0), (squares * (q < 0)).sum(axis=0))
    p_values = np.zeros(k.shape)
    for j in range(1, max(int(np.max(k, initial=0)), 1)):
        p_values += np.where(j < k, comb(k - 1, j) * 2.0 ** (1 - k) * chdtrc(j, least), 0)
    result: FloatArray = np.where(k > 1, p_values, math.nan)
    return result


@dataclass(frozen=True)
class _PairCounts:
    """Sums over pairs with all configurations, and without each: (1 + num_configurations, num_columns)."""

    concordance: FloatArray
    x: FloatArray  # untied pairs
    y: FloatArray

    @classmethod
    def of(cls, sums: PairSums, weights: FloatArray) -> "_PairCounts":
        return cls(sums.concordance(weights), sums.in_column.untied(weights), sums.in_gap.untied(weights))

    def tau(self) -> FloatArray:
        with np.errstate(invalid="ignore", divide="ignore"):
            tau: FloatArray = np.where(self.x * self.y > 0, self.concordance / np.sqrt(self.x * self.y), math.nan)
        return tau

    def atanh_tau(self) -> FloatArray:
        """atanh τ; a perfect agreement counts as if half a pair disagreed."""
        tau, pairs = self.tau(), np.maximum(np.sqrt(self.x * self.y), 2)
        bound = 1 - 1 / pairs
        transformed: FloatArray = np.arctanh(np.clip(tau, -bound, bound))
        return transformed


def _group_test(one: _PairCounts, cells: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(num_columns,) atanh τ of a group, its jackknife variance, and the number of configurations.

    Where all configurations of a group agree, the jackknife sees no variance; so a quarter of the variance without
    association is the least.
    """
    present = np.unique(cells)
    xi = one.atanh_tau()
    size = len(present)
    variance = jackknife_stderr(xi[1:][present]) ** 2
    variance = np.maximum(variance, FIELLER / max(size - 4, 1) / 4)
    usable = size >= MIN_FOR_INTERVAL
    return (
        np.where(usable, xi[0], math.nan),
        np.where(usable, variance, math.nan),
        np.full(len(xi[0]), float(size)),
    )


def _normal_quantiles(xi: FloatArray, variance: FloatArray, size: FloatArray) -> FloatArray:
    """The t of each group as the normal quantile of the same probability."""
    t = xi / np.sqrt(variance)
    quantiles: FloatArray = np.sign(t) * -ndtri(np.maximum(stdtr(np.maximum(size - 1, 1), -np.abs(t)), 1e-300))
    return quantiles


def _jackknife(values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Estimate, 95 % interval and p-value that it is 0, from the values of all and without each configuration."""
    stderr, freedom = jackknife_stderr(values[1:]), len(values) - 2
    if freedom < 1:
        nothing = np.full(values[0].shape, math.nan)
        return values[0], nothing, nothing, nothing
    half = stdtrit(freedom, 0.975) * stderr
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.where(stderr > 0, np.abs(values[0]) / stderr, np.where(values[0] == 0, 0, math.inf))
        p_values = np.where(np.isfinite(values[0] + stderr), 2 * stdtr(freedom, -t), math.nan)
    return values[0], values[0] - half, values[0] + half, p_values
