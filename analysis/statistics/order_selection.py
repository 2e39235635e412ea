"""The order (or ρ) of highest τ, and the τ that remains when its choice is accounted for.

The paper plots, for each layer, the order with the highest τ. A maximum over many columns is positive even if no
column is related to the gap. There are two remedies: score each pair of models with the column that is best on the
other configurations (`nested_order_tau`), and compare the maximum with maxima under reassigned gaps
(`max_permutation_test`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import AnalysisError
from analysis.statistics.kendall import MIN_FOR_INTERVAL
from analysis.statistics.leave_pair_out import LeavePairOut
from analysis.statistics.pairs import PairSums, as_columns
from analysis.statistics.relabeling import Null
from analysis.statistics.resampling import FloatArray, IntArray, bootstrap_multiplicities, cell_index

NORMAL_QUANTILE = 1.959964
NESTED_DRAWS = (50, 200)  # enough for a standard error
NESTED_PAIRS = 20_000  # of configurations, used in each draw of the standard error: all of up to 200 configurations
NESTED_WORK = 1e8  # draws · pairs · columns; above it, fewer draws are made


@dataclass(frozen=True)
class NestedTau:
    """τ of a measure whose order is chosen, for each pair, on the other models only. NaN if undefined."""

    tau: float
    stderr: float  # bootstrap over models, with a new choice in each draw
    ci_low: float  # 95 %: τ ± 1.96 stderr, within [−1, 1]
    ci_high: float
    chosen: dict[int, float]  # share of the pairs that chose each column, the most frequent first
    n: int  # models with a gap and at least one column


@dataclass(frozen=True)
class MaxTau:
    """The highest τ of several columns, and how often chance alone gives such a maximum."""

    tau: float  # NaN if no column has a τ
    column: int  # the column that has it; −1 if none has
    p_value: float  # one-sided; each permutation repeats the maximization
    chance: float  # mean of the highest τ over the permutations: what the choice alone gives


def nested_order_tau(columns: ArrayLike, gap: ArrayLike, seed: int = 0, cells: ArrayLike | None = None) -> NestedTau:
    """Leave-pair-out τ: for each pair of models the column of highest τ_b on the other configurations scores the pair.

    τ = Σ_{i<j} s^{c(i,j)}_ij s^g_ij over sqrt of the untied pairs, as in τ_b, with c(i,j) = argmax_c τ_b of column c
    without the configurations of i and j, all their seeds. Without association both orders of a pair's gaps are
    equally likely, whatever the other configurations show, so the mean is 0. If only i and j were left out, their
    other seeds would give the answer away: the mean was then +.10 to +.32. Cost: O(N² · num_columns) for τ, and 50 to
    200 times that for its error (up to 200 configurations).

    The standard error repeats the whole procedure in each bootstrap draw; a pair is scored without any copy of its two
    configurations. So it includes the variation of the choice. In simulations its interval covered 94 to 95 % without
    association (N = 30 to 90, 10 to 32 neighbouring orders) and 96 to 98 % with τ ≤ .35.

    Args:
        columns: (N, num_columns) one measure at each order (or ρ); a pair is scored by columns with values for both.
        gap: (N,) values.
        seed: of the bootstrap, as for `kendall_tau`.
        cells: (N,) labels of configurations, which are left out and resampled as wholes; None: each model is one.

    Raises:
        AnalysisError: columns and gap differ in length, or there is no column.
    """
    every = np.arange(as_columns(columns).shape[1])
    return nested_order_taus(columns, gap, [every], seed, cells)[0]


def nested_order_taus(
    columns: ArrayLike,
    gap: ArrayLike,
    choices: Sequence[IntArray],
    seed: int = 0,
    cells: ArrayLike | None = None,
) -> list[NestedTau]:
    """`nested_order_tau` of several choices among the same columns: the orders of one layer, of another, of all layers.

    Args:
        columns, gap, seed, cells: as for `nested_order_tau`.
        choices: for each choice the numbers of its columns; `chosen` refers to positions among them.

    Raises:
        AnalysisError: columns and gap differ in length, or a choice is empty.
    """
    sums = PairSums(columns, gap)
    if not all(len(choice) for choice in choices):
        raise AnalysisError("columns is empty: give at least one order to choose from")
    nested = LeavePairOut(sums, choices, cell_index(sums.n, cells))
    whole = nested.taus(np.ones((1, nested.num_cells)), [1] * len(choices), np.arange(nested.num_pairs))
    some = np.random.default_rng(seed).permutation(nested.num_pairs)[:NESTED_PAIRS]
    draws = [int(np.clip(NESTED_WORK / max(len(some) * len(choice), 1), *NESTED_DRAWS)) for choice in choices]
    drawn = nested.taus(bootstrap_multiplicities(nested.num_cells, seed, max(draws)), draws, some)
    return [
        _nested_tau(float(tau), counts, resampled, int(sums.present[:, choice].any(axis=1).sum()))
        for choice, ((tau,), counts), (resampled, _) in zip(choices, whole, drawn, strict=True)
    ]


def _nested_tau(tau: float, counts: IntArray, resampled: FloatArray, n: int) -> NestedTau:
    """The estimate of one choice, from its τ, the counts of chosen columns, and its bootstrap."""
    scored = np.flatnonzero(counts if math.isfinite(tau) else counts * 0)
    shares = {int(c): float(counts[c] / counts.sum()) for c in sorted(scored, key=lambda c: -counts[c])}
    known = resampled[np.isfinite(resampled)]
    defined = n >= MIN_FOR_INTERVAL and math.isfinite(tau) and len(known) > 1
    stderr = float(np.std(known, ddof=1)) if defined else math.nan
    low, high = (float(np.clip(tau + z * stderr, -1, 1)) for z in (-NORMAL_QUANTILE, NORMAL_QUANTILE))
    return NestedTau(tau, stderr, low, high, shares, n)


def max_permutation_test(observed: FloatArray, permuted: FloatArray) -> MaxTau:
    """Test the highest of several τ against the highest under each permutation of the gap.

    p = (1 + #{b: max_c τ^b_c ≥ max_c τ_c}) / (1 + draws), so the null includes the choice of the column.

    Args:
        observed: (num_columns,) τ of each column; NaN is ignored.
        permuted: (draws, num_columns) τ of the same columns with reassigned gaps, from `permuted_taus`.
    """
    if not np.isfinite(observed).any():
        return MaxTau(math.nan, -1, math.nan, math.nan)
    column = int(np.nanargmax(observed))
    tau = float(observed[column])
    highest = np.max(np.where(np.isfinite(permuted), permuted, -np.inf), axis=1)
    p_value = float((1 + (highest >= tau - 1e-12).sum()) / (1 + len(permuted)))
    return MaxTau(tau, column, p_value, float(np.append(highest, tau).mean()))


def adjusted_p_values(observed: FloatArray, permuted: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two-sided permutation p-values of each τ: unadjusted, and adjusted for the number of columns.

    The adjusted value compares |τ| with the largest |τ| over all columns in each permutation (Westfall and Young's
    single-step maximum). So the chance of any false claim stays below the level, even if the columns are dependent.

    Args:
        observed: (num_columns,); NaN stays NaN.
        permuted: (draws, num_columns) from `permuted_taus`.

    Returns:
        Two (num_columns,) arrays.
    """
    strength = np.abs(observed)
    null = np.where(np.isfinite(permuted) & np.isfinite(observed), np.abs(permuted), 0.0)
    largest = null.max(axis=1, initial=0.0)[:, None]
    defined = np.isfinite(observed)
    alone, adjusted = (
        np.where(defined, (1 + (values >= strength - 1e-12).sum(axis=0)) / (1 + len(permuted)), math.nan)
        for values in (null, largest)
    )
    return alone, adjusted


def permuted_taus(columns: ArrayLike, gap: ArrayLike, null: Null) -> FloatArray:
    """τ_b of every column with reassigned gaps: its null distribution for these values.

    Args:
        columns, gap: (N, num_columns) and (N,). Models without a gap must have been dropped.
        null: the reassignments, from `Design.null`.

    Returns:
        (draws, num_columns). The cost is that of the bootstrap.
    """
    return PairSums(columns, gap).permuted_tau(null.permutations)
