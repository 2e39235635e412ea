"""The tables on which a sweep's verdict is based, from one bootstrap and one set of permutations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

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
from analysis.results.targets import LOSS, Target
from analysis.schema import TRAIN_LOSS
from analysis.spectrum.quadrature import Quadratures
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
    remarks: tuple[str, ...] = ()  # what a reader must know of the choice of the sweep's trials
    interval: str = "bootstrap"  # the method by which its intervals were made

    @cached_property
    def headline(self) -> pd.DataFrame:
        """The τ table's columns that were declared beforehand, strongest first."""
        return self.tau[self.tau["headline"]].reset_index(drop=True)


def label(found: Evidence, among: Sequence[Evidence]) -> str:
    """What tells a sweep's evidence from the others in a report: its name, its target if there are several, or both."""
    matrix = found.matrix
    if len({other.matrix.target for other in among}) == 1:
        return matrix.name
    return f"{matrix.name}: {matrix.target.title}"


def target_of_all(among: Sequence[Evidence]) -> str:
    """What measures are ranked against, for a sentence: `the gap (test − training loss)`, or `each target`."""
    titles = {found.matrix.target.title for found in among}
    return f"the {titles.pop()}" if len(titles) == 1 else "each target"


def interval_of_all(among: Sequence[Evidence]) -> str:
    """How the intervals were made, for a caption: `bootstrap`, or `jackknife`."""
    return " or ".join(sorted({found.interval for found in among}))


def matrix_of(results: SweepResults, target: Target) -> SweepMatrix:
    """A sweep as matrices, with what its layers are.

    Raises:
        AnalysisError: no trial has the target.
    """
    matrix = SweepMatrix.of(results.table, results.name, target, results.grid)
    return matrix if results.study is None else replace(matrix, words=results.study.layers)


def gather(results: SweepResults, target: Target = LOSS, seed: int = 0) -> Evidence:
    """Compute all tables of a sweep, with one bootstrap and one set of permutations.

    Raises:
        AnalysisError: no trial has the target.
    """
    matrix = matrix_of(results, target)
    return evidence_of(matrix, seed, results.states, results.failures, results.spectra, results.remarks)


def evidence_of(
    matrix: SweepMatrix,
    seed: int = 0,
    states: Mapping[str, int] = MappingProxyType({}),
    failures: Mapping[str, str] = MappingProxyType({}),
    spectra: Mapping[str, Quadratures] = MappingProxyType({}),
    remarks: tuple[str, ...] = (),
) -> Evidence:
    """All tables of a matrix: of a sweep's, or of somebody's table."""
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
        cluster_table(matrix, association, spectra),
        comparisons,
        kendall_tau(matrix.trials[TRAIN_LOSS], matrix.gap, seed, matrix.axes.cells),
        states,
        failures,
        remarks,
    )
