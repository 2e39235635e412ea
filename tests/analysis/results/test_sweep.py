import pyarrow as pa

from analysis.results.sweep import SweepResults, TrialRecord, part_of, tidy_table
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


def test_a_part_has_its_own_trials_states_and_failures() -> None:
    table = tidy_table([record(each, "trace", "l2") for each in ("a", "b")])
    sweep = SweepResults("s", table, {"measured": 2, "failed": 2}, {"c": "nan", "d": "nan"}, {"a": {}, "b": {}})
    part = part_of(sweep, ["b", "c", "e"], "s (x=1)", "only x=1")
    assert list(part.table["trial_id"]) == ["b", "b"]
    assert part.states == {"measured": 1, "failed": 1, "unfinished": 1}
    assert (list(part.failures), list(part.spectra), part.remarks, part.name) == (
        ["c"],
        ["b"],
        ("only x=1",),
        "s (x=1)",
    )
    nothing = part_of(SweepResults("s", tidy_table([]), {}), ["a"], "s", "only x=1")
    assert nothing.states == {"measured": 0, "failed": 0, "unfinished": 1}
