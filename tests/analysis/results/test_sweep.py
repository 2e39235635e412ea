import pyarrow as pa

from analysis.results.sweep import TrialRecord, tidy_table
from tests.analysis.simulated import SCHEMA, row


def record(trial_id: str, *measures: str, **parameters: object) -> TrialRecord:
    rows = pa.Table.from_pylist([row("all", name, None, 1.0, 0.1) for name in measures], schema=SCHEMA)
    return TrialRecord(trial_id, parameters, {"gap_loss": 0.5}, rows)


def test_every_measurement_is_a_row_with_the_parameters_of_its_trial() -> None:
    table = tidy_table([record("b", "trace", "l2", learning_rate=0.1), record("a", "trace", learning_rate=0.2)])
    assert list(table["trial_id"]) == ["a", "b", "b"]
    assert list(table["measure"]) == ["trace", "trace", "l2"]
    assert list(table["learning_rate"]) == [0.2, 0.1, 0.1]
    assert set(table["gap_loss"]) == {0.5}


def test_a_trial_without_measurements_has_no_row_and_no_trial_has_the_columns_still() -> None:
    assert list(tidy_table([record("a"), record("b", "l2")])["trial_id"]) == ["b"]
    empty = tidy_table([])
    assert empty.empty
    assert {"trial_id", "value", "gap_loss", "train_loss"} <= set(empty.columns)
