import math

import numpy as np

from analysis.report.sweep_matrix import SweepMatrix
from tests.analysis.simulated import LAYERS, ORDERS, simulated_sweep


def test_every_value_is_in_its_row_and_column() -> None:
    table = simulated_sweep().table
    matrix = SweepMatrix.of(table.sample(frac=1, random_state=0), "simulated")
    assert matrix.values.shape == (30, len(LAYERS) * len(ORDERS) + len(LAYERS) + 2)
    assert list(matrix.trials["trial_id"]) == sorted(matrix.trials["trial_id"])
    for row in table.sample(50, random_state=1).to_dict("records"):
        parameter = None if math.isnan(row["parameter"]) else row["parameter"]
        column = matrix.column(row["measure"], parameter, row["layer"])
        trial = list(matrix.trials["trial_id"]).index(row["trial_id"])
        assert column is not None
        assert matrix.values[trial, column] == row["value"]
        assert matrix.gap[trial] == row["gap_loss"]
    assert matrix.column("trace", 0.5, "all") is None


def test_layers_keep_their_order_with_all_of_them_last() -> None:
    assert SweepMatrix.of(simulated_sweep().table, "simulated").layers == list(LAYERS)


def test_the_headline_is_what_was_declared() -> None:
    matrix = SweepMatrix.of(simulated_sweep().table, "simulated")
    declared = matrix.keys[matrix.headline].groupby("measure")["parameter"].unique()
    assert list(declared["renyi"]) == [0.5, 1.5]
    assert list(declared["sam"]) == [0.05]
    assert np.isnan(declared["trace"]).all()


def test_a_measure_not_taken_at_its_declared_value_is_judged_at_the_smallest() -> None:
    table = simulated_sweep().table
    matrix = SweepMatrix.of(table[table["parameter"].isna() | table["parameter"].isin([1.0, 2.0, 0.1])], "simulated")
    chosen = matrix.keys[matrix.headline]
    assert set(chosen[chosen["measure"] == "renyi"]["parameter"]) == {1.0}
    assert set(chosen[chosen["measure"] == "sam"]["parameter"]) == {0.1}


def test_trials_without_a_gap_are_left_out_and_counted() -> None:
    table = simulated_sweep().table
    table.loc[table["trial_id"] == "trial004", "gap_loss"] = math.inf
    matrix = SweepMatrix.of(table, "simulated")
    assert (matrix.n, matrix.without_gap) == (29, 1)
    assert "trial004" not in set(matrix.trials["trial_id"])


def test_families_are_measures_with_a_choice() -> None:
    families = SweepMatrix.of(simulated_sweep().table, "simulated").families
    assert set(families) == {("renyi", layer) for layer in LAYERS} | {("sam", "all")}
    assert len(families["renyi", "all"]) == len(ORDERS)


def test_no_trials_are_an_empty_matrix() -> None:
    matrix = SweepMatrix.of(simulated_sweep().table.iloc[:0], "simulated")
    assert matrix.n == 0
    assert matrix.layers == []
