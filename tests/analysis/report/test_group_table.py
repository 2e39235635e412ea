import numpy as np
import pytest

from analysis.report.evidence import Evidence, gather
from analysis.report.group_table import categorical_axes
from analysis.report.sweep_matrix import SweepMatrix
from analysis.statistics import grouped_kendall
from tests.analysis.simulated import simulated_sweep


def test_the_optimizer_and_axes_of_words_are_categorical() -> None:
    table = simulated_sweep(seeds=(0,)).table
    assert list(categorical_axes(SweepMatrix.of(table, "s"))) == ["optimizer"]
    named = table.assign(activation=np.where(table["weight_decay"] < 2e-4, "relu", "gelu"))
    assert list(categorical_axes(SweepMatrix.of(named.drop(columns="weight_decay"), "s"))) == [
        "optimizer",
        "activation",
    ]
    few = table[(table["optimizer"] == "sgd") | table["trial_id"].isin(["trial015", "trial016"])]
    assert list(categorical_axes(SweepMatrix.of(few, "s"))) == []


def test_each_row_is_what_the_statistics_say(evidence: Evidence) -> None:
    matrix = evidence.matrix
    row = evidence.groups.iloc[3]
    column = matrix.column(row["measure"], row["parameter"], row["layer"])
    taus = grouped_kendall(matrix.values[:, column], matrix.gap, matrix.trials["optimizer"], matrix.design)
    assert (row["tau_b"], row["within_tau"], row["contrast"]) == pytest.approx(
        (taus.tau[0], taus.within[0], taus.contrast[0])
    )
    assert (row["τ of adam"], row["τ of sgd"]) == pytest.approx(tuple(taus.by_group[:, 0]))
    assert evidence.comparisons[0].null.exact
    assert len(evidence.comparisons[0].null.permutations) == 719


def test_without_a_categorical_axis_there_are_no_rows() -> None:
    results = simulated_sweep()
    one = results.table[results.table["optimizer"] == "sgd"]
    assert gather(type(results)(results.name, one, results.states)).groups.empty
