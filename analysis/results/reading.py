"""Tables as people write them (CSV, Parquet, data frames): their cells as they stand, and where each of them is."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.errors import AnalysisError
from analysis.results.cells import Column

if TYPE_CHECKING:
    import pandas as pd

PARQUET_MAGIC = b"PAR1"
ZIP_MAGIC = b"PK\x03\x04"
SEPARATORS = (",", ";", "\t")
MOST_RAGGED = 3  # rows that are named


class TableError(AnalysisError):
    """A table that can't be judged: all problems, one a line, each with its place, what is wrong, and what to do."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class RawTable:
    """A table before anything is known of its columns."""

    source: str  # the file's name, or "the table"
    columns: Mapping[str, Column]  # by name; of CSV files every cell is text
    place: Callable[[int], str]  # where row i is, for messages: `line 18`, `row 17`
    repeated: tuple[str, ...] = ()  # names that several columns have

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()), ()))


def read_table(path: str | Path) -> RawTable:
    """Read a CSV or Parquet file; the content says which it is, whatever the name.

    CSV: UTF-8, a header line, fields separated by commas, semicolons or tabs, numbers with a decimal point.

    Raises:
        TableError: the file is missing, empty, or of another kind, or its rows have different lengths.
    """
    file = Path(path).expanduser()
    try:
        data = file.read_bytes()
    except IsADirectoryError:
        raise TableError(f"{path}: is a folder; give a CSV or Parquet file") from None
    except OSError as error:
        raise TableError(f"{path}: can't be read: {error.strerror}") from None
    if not data.strip():
        raise TableError(f"{path}: is empty; give a CSV or Parquet file with one row a model")
    return _parquet(str(path), data) if data.startswith(PARQUET_MAGIC) else _csv(str(path), data)


def of_frame(frame: "pd.DataFrame") -> RawTable:
    """A pandas data frame as it stands; its index says where a row is."""
    names = [str(name) for name in frame.columns]
    index = frame.index
    columns = {name: frame.iloc[:, position].to_numpy() for position, name in enumerate(names)}
    return RawTable("the table", columns, lambda row: f"index {index[row]!r}", _repeated(names))


def _parquet(source: str, data: bytes) -> RawTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{source}: not a readable Parquet file: {str(error).splitlines()[0]}") from None
    columns = {
        name: column.to_pandas().to_numpy() for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return RawTable(source, columns, lambda row: f"row {row + 1}", _repeated(table.column_names))


def _csv(source: str, data: bytes) -> RawTable:
    if data.startswith(ZIP_MAGIC):
        raise TableError(f"{source}: is a zip archive, as Excel writes it; save the sheet as CSV")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise TableError(f"{source}: neither Parquet nor a text file in UTF-8; save the table as CSV or Parquet")
    separator = max(SEPARATORS, key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows, lines = [], []
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise TableError(f"{source}: line {reader.line_num}: not valid CSV: {error}") from None
    names = [name.strip() for name in rows[0]]
    rows, lines = rows[1:], lines[1:]
    ragged = [(line, len(row)) for line, row in zip(lines, rows, strict=True) if len(row) != len(names)]
    if ragged:
        more = f"; and {len(ragged) - MOST_RAGGED} more lines" if len(ragged) > MOST_RAGGED else ""
        found = ", ".join(f"line {line} has {count}" for line, count in ragged[:MOST_RAGGED])
        raise TableError(
            f"{source}: the header has {len(names)} columns, {found}{more}; give every row as many cells, and put "
            "cells that contain the separator in quotes"
        )
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return RawTable(source, dict(zip(names, cells, strict=True)), lambda row: f"line {lines[row]}", _repeated(names))


def _repeated(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name, count in Counter(names).items() if count > 1 and name)
