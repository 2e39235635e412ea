import pytest

from analysis.report.sweep_matrix import SweepMatrix
from analysis.report.tables import values_table
from analysis.results.cells import Cells
from analysis.results.measure_columns import MeasureColumn, automatic_measures, measure_column
from tests.analysis.simulated import simulated_sweep


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("renyi_0.5/conv.weight", MeasureColumn("renyi", 0.5, "conv.weight")),
        ("renyi_gauss_newton_1.5/all", MeasureColumn("renyi_gauss_newton", 1.5, "all")),
        ("trace/all", MeasureColumn("trace", None, "all")),
        ("sam_0.05/all", MeasureColumn("sam", 0.05, "all")),
        ("my_measure", MeasureColumn("my_measure", None, "")),
        ("mine/fc", MeasureColumn("mine/fc", None, "")),
    ],
)
def test_names_of_our_own_tables_say_measure_parameter_and_layer(column: str, expected: MeasureColumn) -> None:
    assert measure_column(column) == expected


def test_every_column_that_our_tables_of_trials_have_is_read_back() -> None:
    matrix = SweepMatrix.of(simulated_sweep().table, "simulated")
    written = [column for column in values_table(matrix).columns if "/" in column]
    keys = matrix.keys[matrix.headline].astype(object).where(matrix.keys[matrix.headline].notna(), None)
    expected = [MeasureColumn(*key) for key in keys.itertuples(index=False)]
    assert [measure_column(column) for column in written] == expected


def test_a_reversed_measure_has_a_minus_before_its_name() -> None:
    assert measure_column("flatness", flipped=True) == MeasureColumn("−flatness", None, "")


def test_numeric_columns_are_taken_and_every_other_has_its_reason() -> None:
    columns = {
        "trace": ["1", "3", "2"],
        "with_gaps": ["1", "", "2"],
        "constant": ["2", "2", "2"],
        "Seed": ["0", "1", "0"],
        "": ["5", "3", "4"],
        "row": ["0", "1", "2"],
        "nothing": ["", "NA", ""],
        "note": ["a", "b", "c"],
        "mixed": ["1", "diverged", "2"],
        "good": ["True", "False", "True"],
        "endless": ["1", "inf", "2"],
        "test_accuracy": ["0.5", "0.6", "0.7"],
    }
    chosen = automatic_measures({name: Cells.of(cells) for name, cells in columns.items()})
    assert chosen.taken == ("trace", "with_gaps", "constant")
    assert chosen.left_out == {
        "Seed": "it tells rows apart",
        "a column without a name": "it has no name",
        "row": "it counts the rows",
        "nothing": "no values",
        "note": "text",
        "mixed": "text in 1 of 3 rows",
        "good": "booleans",
        "endless": "infinite values in 1 of 3 rows",
        "test_accuracy": "a generalization quantity, by its name",
    }
