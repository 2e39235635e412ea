"""The cells of a column: which are numbers, which are missing, and which are neither."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "null", "none"})  # in any case
BOOLEAN_WORDS = frozenset({"true", "false"})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)


Column = Sequence[object] | NDArray[Any]


class Kind(IntEnum):
    """What a cell holds."""

    NUMBER = 0
    MISSING = 1
    INFINITE = 2
    BOOLEAN = 3
    TEXT = 4


@dataclass(frozen=True)
class Cells:
    """A column, cell by cell."""

    raw: Column
    numbers: NDArray[np.float64]  # (N,) NaN where the cell is no finite number
    kinds: NDArray[np.int8]  # (N,) a `Kind` each

    @classmethod
    def of(cls, raw: Column) -> "Cells":
        """Sort the cells of a column; text counts as a number only if it is written as one, without units or commas."""
        if isinstance(raw, np.ndarray) and raw.dtype.kind in "iuf":
            numbers = raw.astype(np.float64)
            kinds = np.where(np.isnan(numbers), Kind.MISSING, np.where(np.isinf(numbers), Kind.INFINITE, Kind.NUMBER))
        else:
            found = [_sort(cell) for cell in raw]
            kinds = np.array([kind for kind, _ in found], dtype=np.int8)
            numbers = np.array([number for _, number in found], dtype=np.float64)
        return cls(raw, np.where(kinds == Kind.NUMBER, numbers, np.nan), kinds.astype(np.int8))

    def where(self, *kinds: Kind) -> NDArray[np.intp]:
        """The rows whose cells are of these kinds."""
        return np.flatnonzero(np.isin(self.kinds, kinds))

    @property
    def is_numeric(self) -> bool:
        """Whether every cell is a number or missing, and some cell is a number."""
        return bool((self.kinds <= Kind.MISSING).all() and (self.kinds == Kind.NUMBER).any())

    def levels(self) -> list[object]:
        """(N,) the values of an axis: numbers, if all cells are; otherwise what is written; None where missing."""
        missing = self.kinds == Kind.MISSING
        if self.is_numeric:
            return [None if gone else float(number) for gone, number in zip(missing, self.numbers, strict=True)]
        return [None if gone else str(cell).strip() for gone, cell in zip(missing, self.raw, strict=True)]


def _sort(cell: object) -> tuple[Kind, float]:
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return Kind.MISSING, math.nan
    if isinstance(cell, bool | np.bool_):
        return Kind.BOOLEAN, math.nan
    if isinstance(cell, str):
        return _sort_text(cell.strip())
    try:
        number = float(cell)  # type: ignore[arg-type]  # a number of any library, or refused
    except (TypeError, ValueError):
        return Kind.TEXT, math.nan
    if math.isnan(number):
        return Kind.MISSING, math.nan
    return (Kind.INFINITE, math.nan) if math.isinf(number) else (Kind.NUMBER, number)


def _sort_text(text: str) -> tuple[Kind, float]:
    if _NUMBER.fullmatch(text):
        number = float(text)
        return (Kind.INFINITE, math.nan) if math.isinf(number) else (Kind.NUMBER, number)
    if text.lower() in MISSING_WORDS:
        return Kind.MISSING, math.nan
    if text.lower() in BOOLEAN_WORDS:
        return Kind.BOOLEAN, math.nan
    return (Kind.INFINITE if _INFINITE.fullmatch(text) else Kind.TEXT), math.nan
