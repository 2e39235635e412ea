"""τ within and between the groups of each categorical axis, and how each column's pooled τ is to be read."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.report.grid_axes import OPTIMIZER
from analysis.report.statements import pooling
from analysis.report.sweep_matrix import SweepMatrix
from analysis.report.tables import Association, as_strong_as_the_best, configurations_with_value, null_limit
from analysis.schema import LAYER, MEASURE, PARAMETER
from analysis.statistics import (
    GroupedTau,
    Null,
    adjusted_p_values,
    grouped_kendall,
    holm,
    permuted_within_taus,
)
from analysis.statistics.kendall import MIN_FOR_INTERVAL
from analysis.statistics.resampling import FloatArray

OF_GROUP = "τ of "  # and the group's label: the column of its τ


@dataclass(frozen=True)
class GroupComparison:
    """The headline columns within and between the groups of one axis."""

    axis: str
    taus: GroupedTau
    p_value: FloatArray  # (num_headline,) of τ_W, gaps reassigned within groups
    p_adjusted: FloatArray  # for the number of headline columns, and times 1 + the number of axes
    significant_from: float  # the least |τ_W| that would be significant
    null: Null


def categorical_axes(matrix: SweepMatrix) -> dict[str, NDArray[np.object_]]:
    """By axis the (N,) group of each trial: the optimizer, and axes whose values are not numbers.

    An axis counts if at least two of its groups have five configurations.
    """
    found = {}
    for name in matrix.axes.labels:
        column = name.split(" & ")[0]
        values = matrix.trials.get(column)
        if values is None or (name != OPTIMIZER and pd.api.types.is_numeric_dtype(values) and values.dtype != bool):
            continue
        labels = values.astype(str).to_numpy(dtype=object)
        sizes = [len(set(matrix.design.cells[labels == group])) for group in set(labels)]
        if sum(size >= MIN_FOR_INTERVAL for size in sizes) > 1:
            found[name] = labels
    return found


def compare_groups(matrix: SweepMatrix, seed: int = 0) -> list[GroupComparison]:
    """The headline columns within and between the groups of each categorical axis."""
    values, found = matrix.values[:, matrix.headline], []
    axes = categorical_axes(matrix)
    looks = 1 + len(axes)  # the verdict takes one of them, or the pooled τ
    for axis, labels in axes.items():
        null = matrix.design.null(labels, seed)
        taus = grouped_kendall(values, matrix.gap, labels, matrix.design)
        permuted = permuted_within_taus(values, matrix.gap, labels, null)
        p_value, p_adjusted = adjusted_p_values(taus.within, permuted)
        p_adjusted = np.minimum(looks * p_adjusted, 1)
        found.append(GroupComparison(axis, taus, p_value, p_adjusted, null_limit(permuted, looks), null))
    return found


def group_table(matrix: SweepMatrix, association: Association, comparisons: list[GroupComparison]) -> pd.DataFrame:
    """Whether the pooled τ of each headline column is that of the groups, or a contrast between them.

    Columns: axis, measure, parameter, layer, tau_b (pooled), p_pooled (adjusted), within_tau with ci_low and ci_high,
    p_value and p_adjusted (gaps reassigned within groups; the latter for the number of columns, and times 1 + the
    number of axes, since the verdict takes the pooled τ or that within one of them), p_as_strong (that |τ_W| is as
    strong as the strongest), num_configurations, between_tau, contrast (τ − τ_W) with contrast_low, contrast_high,
    contrast_p, p_differ (Welch, Holm over axes), p_opposed (Gail and Simon), p_opposed_holm (over all rows), reading
    (`Pooling`), and τ of each group.
    """
    keys = matrix.keys.iloc[np.flatnonzero(matrix.headline)].reset_index(drop=True)
    tau = association.taus.tau_b[matrix.headline]
    p_pooled = adjusted_p_values(tau, association.permuted[:, matrix.headline])[1]
    configurations = configurations_with_value(matrix)[matrix.headline]
    differ = np.array([one.taus.heterogeneity_p for one in comparisons]).reshape(len(comparisons), len(keys))
    differ = np.array([holm(column) for column in differ.T]).reshape(len(keys), len(comparisons)).T
    parts = []
    for one, p_differ in zip(comparisons, differ, strict=True):
        taus = one.taus
        as_strong = as_strong_as_the_best(taus.within, taus.left_out, one.p_adjusted, configurations)
        readings = [
            pooling(*numbers).value
            for numbers in zip(
                tau, taus.within, one.p_adjusted, taus.contrast_low, taus.contrast_high, taus.qualitative_p, p_differ,
                strict=True,
            )
        ]  # fmt: skip
        part = keys.assign(
            tau_b=tau,
            p_pooled=p_pooled,
            within_tau=taus.within,
            ci_low=taus.within_low,
            ci_high=taus.within_high,
            p_value=one.p_value,
            p_adjusted=one.p_adjusted,
            p_as_strong=as_strong,
            num_configurations=configurations,
            between_tau=taus.between,
            contrast=taus.contrast,
            contrast_low=taus.contrast_low,
            contrast_high=taus.contrast_high,
            contrast_p=taus.contrast_p,
            p_differ=p_differ,
            p_opposed=taus.qualitative_p,
            reading=readings,
            **{f"{OF_GROUP}{label}": row for label, row in zip(taus.groups, taus.by_group, strict=True)},
        )
        part.insert(0, "axis", one.axis)
        parts.append(part)
    if not parts:
        return pd.DataFrame(columns=["axis", MEASURE, PARAMETER, LAYER])
    table = pd.concat(parts, ignore_index=True)
    table.insert(list(table.columns).index("p_opposed") + 1, "p_opposed_holm", holm(table["p_opposed"]))
    return table
