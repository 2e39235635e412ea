"""The tables on which a sweep's verdict is based, from one bootstrap and one set of permutations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from analysis.report.cluster_table import cluster_table
from analysis.report.group_table import GroupComparison, categorical_axes, compare_groups, group_table
from analysis.report.sweep_matrix import SweepMatrix
from analysis.report.tables import (
    Association,
    associate,
    axes_table,
    difference_table,
    selection_table,
    tau_table,
    training_table,
)
from analysis.results.sweep import SweepResults
from analysis.schema import GAP_LOSS, TRAIN_LOSS
from analysis.statistics import KendallTau, kendall_tau


@dataclass(frozen=True)
class Evidence:
    """The tables on which the verdict is based."""

    matrix: SweepMatrix
    association: Association
    tau: pd.DataFrame
    selection: pd.DataFrame
    differences: pd.DataFrame
    axes: pd.DataFrame
    training: pd.DataFrame
    groups: pd.DataFrame
    clusters: pd.DataFrame  # without rows where no spectrum is stored
    comparisons: list[GroupComparison]  # by categorical axis
    gap_with_training: KendallTau  # τ of the training loss with the gap
    states: Mapping[str, int] = field(default_factory=dict)  # of all trials of the sweep, measured or not
    failures: Mapping[str, str] = field(default_factory=dict)  # trial_id → reason

    @cached_property
    def headline(self) -> pd.DataFrame:
        """The τ table's columns that were declared beforehand, strongest first."""
        return self.tau[self.tau["headline"]].reset_index(drop=True)


def gather(results: SweepResults, gap: str = GAP_LOSS, seed: int = 0) -> Evidence:
    """Compute all tables of a sweep, with one bootstrap and one set of permutations."""
    matrix = SweepMatrix.of(results.table, results.name, gap)
    association = associate(matrix, seed)
    comparisons = compare_groups(matrix, seed)
    return Evidence(
        matrix,
        association,
        tau_table(matrix, association),
        selection_table(matrix, association, seed),
        difference_table(matrix, seed),
        axes_table(matrix),
        training_table(matrix, association, categorical_axes(matrix), seed),
        group_table(matrix, association, comparisons),
        cluster_table(matrix, association, results.spectra),
        comparisons,
        kendall_tau(matrix.trials[TRAIN_LOSS], matrix.gap, seed, matrix.axes.cells),
        results.states,
        results.failures,
    )
