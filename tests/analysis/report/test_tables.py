import math

import numpy as np
import pytest

from analysis.report.group_table import categorical_axes
from analysis.report.sweep_matrix import SweepMatrix
from analysis.report.tables import (
    associate,
    axes_table,
    difference_table,
    selection_table,
    tau_table,
    training_table,
    values_table,
)
from analysis.statistics import kendall_tau, nested_order_tau, tau_difference
from tests.analysis.simulated import LAYERS, simulated_sweep


@pytest.fixture(scope="module")
def matrix() -> SweepMatrix:
    return SweepMatrix.of(simulated_sweep("planted").table, "simulated")


def test_measures_are_ranked_by_the_strength_of_their_tau(matrix: SweepMatrix) -> None:
    table = tau_table(matrix, associate(matrix))
    assert list(table["tau_b"].abs()) == sorted(table["tau_b"].abs(), reverse=True)
    assert (table["layer"][0], table["parameter"][0]) == ("fc.weight", 2.0)
    for row in table.to_dict("records"):
        column = matrix.column(row["measure"], None if math.isnan(row["parameter"]) else row["parameter"], row["layer"])
        tau = kendall_tau(matrix.values[:, column], matrix.gap)
        for name in ("tau_b", "tau_a", "ci_low", "ci_high", "stderr", "n", "ties", "missing"):
            assert row[name] == pytest.approx(getattr(tau, name), abs=1e-12), name


def test_only_declared_columns_are_adjusted_for(matrix: SweepMatrix) -> None:
    table = tau_table(matrix, associate(matrix))
    assert table["p_adjusted"].notna().sum() == table["headline"].sum() == 2 * len(LAYERS) + len(LAYERS) + 1
    declared = table[table["headline"]]
    assert (declared["p_adjusted"] >= declared["p_value"] - 1e-12).all()
    assert declared["p_adjusted"].min() < 0.01


def test_the_worth_of_a_choice_is_known_for_orders_and_for_radii(matrix: SweepMatrix) -> None:
    table = selection_table(matrix, associate(matrix)).set_index(["measure", "layer"])
    assert set(table.index) == {("renyi", layer) for layer in (*LAYERS, "any")} | {("sam", "all"), ("trace", "any")}
    assert table["paper_layer"]["renyi", "any"] == "fc.weight"
    assert table["paper_parameter"]["renyi", "any"] == 2.0
    assert table["choices"]["renyi", "any"] == 12
    assert table["p_value"]["renyi", "any"] < 0.01
    columns = matrix.families["renyi", "fc.weight"]
    nested = nested_order_tau(matrix.values[:, columns], matrix.gap)
    assert table.loc[("renyi", "fc.weight"), "nested_tau"] == pytest.approx(nested.tau)
    assert (table["paper_tau"] >= table["nested_tau"] - 0.05).all()


def test_differences_are_paired_on_the_same_layer(matrix: SweepMatrix) -> None:
    table = difference_table(matrix)
    # Both orders on each layer against the trace, and on all layers against SAM, too.
    assert len(table) == 2 * len(LAYERS) + 2
    row = table[(table["layer"] == "fc.weight") & (table["parameter"] == 1.5)].iloc[0]
    x, y = (matrix.column("renyi", 1.5, "fc.weight"), matrix.column("trace", None, "fc.weight"))
    alone = tau_difference(matrix.values[:, x], matrix.values[:, y], matrix.gap)
    assert row["difference"] == pytest.approx(alone.difference)
    assert row["p_value"] == pytest.approx(alone.p_value)
    assert row["ci_low"] == pytest.approx(alone.ci_low)
    assert (table["p_holm"] >= table["p_value"]).all()


def test_each_axis_has_a_column(matrix: SweepMatrix) -> None:
    table = axes_table(matrix)
    assert {"along optimizer", "along learning_rate & batch_size", "along weight_decay"} <= set(table)
    best = table.iloc[int(table["granulated"].argmax())]
    assert best["layer"] == "fc.weight"
    assert best["granulated"] > 0.3
    assert best["sign_error_mean"] < 0.3
    assert table["information"].between(0, 1).all()


def test_training_loss_is_taken_into_account() -> None:
    confounded = SweepMatrix.of(simulated_sweep("confounded", seeds=(0, 1, 2)).table, "simulated")
    table = training_table(confounded, associate(confounded))
    row = table[(table["measure"] == "renyi") & (table["layer"] == "all") & (table["parameter"] == 1.5)].iloc[0]
    assert row["tau_b"] > 0.4
    assert row["with_training_loss"] < -0.4
    assert row["given"] == "training loss"
    assert row["given_low"] < 0 < row["given_high"]
    assert abs(row["given_tau"]) < 0.25
    assert list(table["given"].unique()) == ["training loss"]
    grouped = training_table(confounded, associate(confounded), categorical_axes(confounded))
    assert list(grouped["given"].unique()) == ["training loss", "training loss, optimizer"]


def test_the_points_of_the_figures_are_kept(matrix: SweepMatrix) -> None:
    table = values_table(matrix)
    assert len(table) == 30
    np.testing.assert_array_equal(table["renyi_1.5/all"], matrix.values[:, matrix.column("renyi", 1.5, "all")])
    assert {"gap_loss", "learning_rate", "trace/conv.weight", "sam_0.05/all"} <= set(table)
