from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.results.reading import RawTable, TableError, of_frame, read_table


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "models.csv"


def contents(table: RawTable) -> dict[str, list[object]]:
    return {name: list(cells) for name, cells in table.columns.items()}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_the_separator_is_found_and_cells_stay_text(file: Path, separator: str, ending: str) -> None:
    file.write_text(ending.join(separator.join(row) for row in (["lr", " gap"], ["0.1", "2"], ["0.3", ""])), newline="")
    assert contents(read_table(file)) == {"lr": ["0.1", "0.3"], "gap": ["2", ""]}


def test_a_place_is_the_line_of_the_file_even_after_cells_of_several_lines(file: Path) -> None:
    file.write_text('\ufeffnote,gap\n"two\nlines",1\n\nplain,2\n')
    table = read_table(file)
    assert list(table.columns) == ["note", "gap"]
    assert [table.place(row) for row in range(2)] == ["line 3", "line 5"]


def test_parquet_is_known_by_its_content(file: Path) -> None:
    pq.write_table(pa.table({"gap": [1.5, None], "optimizer": ["sgd", "adam"], "ok": [True, False]}), file)
    table = read_table(file)
    np.testing.assert_array_equal(table.columns["gap"], [1.5, np.nan])
    assert list(table.columns["ok"]) == [True, False]
    assert table.place(1) == "row 2"


def test_a_frame_keeps_its_cells_and_its_index_says_where_a_row_is() -> None:
    frame = pd.DataFrame([[1, 2.5], [3, 4.5]], columns=["a", "a"], index=["x", "y"])
    table = of_frame(frame)
    assert table.repeated == ("a",)
    assert table.place(1) == "index 'y'"


def test_columns_of_the_same_name_are_found_and_those_without_one_are_not_counted(file: Path) -> None:
    file.write_text("a,b,a,,\n1,2,3,,\n")
    assert read_table(file).repeated == ("a",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"PK\x03\x04rest", "save the sheet as CSV"),
        (b"\x89PNG\r\n\x1a\n\0\0", "neither Parquet nor a text file"),
        ("größe,gap\n1,2\n".encode("latin-1"), "UTF-8"),
        (b"PAR1 and then nothing", "not a readable Parquet file"),
        (b"a,b\n1,2\n3\n4,5,6\n", "the header has 2 columns, line 3 has 1, line 4 has 3"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(TableError, match=message) as caught:
        read_table(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert len(caught.value.problems) == 1


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="is a folder"):
        read_table(tmp_path)
    with pytest.raises(TableError, match="can't be read: No such file"):
        read_table(tmp_path / "models.csv")
