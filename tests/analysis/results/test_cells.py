import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.results.cells import Cells, Kind


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        *[(text, Kind.NUMBER) for text in ("1", "-2.5", "+.5", "1e-3", " 7 ", "5.", "1E+10")],
        *[(text, Kind.MISSING) for text in ("", "  ", "NA", "n/a", "NaN", "null", "None", None, float("nan"), pd.NA)],
        *[(text, Kind.INFINITE) for text in ("inf", "-Infinity", "1e999", float("inf"))],
        *[(text, Kind.BOOLEAN) for text in ("True", "false", True, np.False_)],
        *[(text, Kind.TEXT) for text in ("diverged", "1,5", "1_000", "5 %", "0x10", "-", pd.Timestamp(0), 1j)],
    ],
)
def test_every_cell_is_of_one_kind(written: object, kind: Kind) -> None:
    cells = Cells.of([written])
    assert cells.kinds.tolist() == [kind]
    assert np.isfinite(cells.numbers[0]) == (kind is Kind.NUMBER)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_what_python_writes_is_read_back_exactly(numbers: list[float]) -> None:
    assert Cells.of([repr(number) for number in numbers]).numbers.tolist() == numbers


@given(st.lists(st.floats() | st.none(), min_size=1))
def test_arrays_and_single_cells_agree(values: list[float | None]) -> None:
    array = np.array([np.nan if value is None else value for value in values])
    assert Cells.of(array).kinds.tolist() == Cells.of(values).kinds.tolist()


def test_an_axis_is_of_numbers_if_all_its_cells_are_and_of_text_otherwise() -> None:
    assert Cells.of(["1e-3", "0.001", ""]).levels() == [0.001, 0.001, None]
    assert Cells.of(["1e-3", "none", "auto"]).levels() == ["1e-3", None, "auto"]
    assert Cells.of(["1e-3", "auto"]).is_numeric is False
