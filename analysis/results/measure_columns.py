"""Which columns of somebody's table are measures, and what their names say."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis import schema
from analysis.measures import MEASURES
from analysis.results.cells import Cells, Kind

REPEATS = frozenset({"seed", "index", "id", schema.TRIAL_ID})
# The names of our own tables of trials: `renyi_0.5/conv.weight`, `trace/all`.
_OURS = re.compile(r"(?P<measure>[a-z0-9_]+?)(_(?P<parameter>\d+\.?\d*(e[+-]?\d+)?))?/(?P<layer>[^/]+)")


@dataclass(frozen=True)
class MeasureColumn:
    """A column of measured values, named as the tables of a report name it."""

    measure: str
    parameter: float | None
    layer: str


@dataclass(frozen=True)
class Chosen:
    """The columns that were taken as measures without being named, and why others were not."""

    taken: tuple[str, ...]
    left_out: dict[str, str]  # by column


def measure_column(column: str, flipped: bool = False) -> MeasureColumn:
    """What a column's name says: of our own tables the measure, its parameter and the layer; else its name is all.

    A measure whose sign is reversed has a minus before its name.
    """
    found = _OURS.fullmatch(column)
    if found and found["measure"] in MEASURES and not flipped:
        return MeasureColumn(
            found["measure"], float(found["parameter"]) if found["parameter"] else None, found["layer"]
        )
    return MeasureColumn(f"−{column}" if flipped else column, None, schema.NO_LAYER)


def automatic_measures(columns: Mapping[str, Cells]) -> Chosen:
    """The numeric columns, except those that are seeds, row numbers or generalization quantities by their names."""
    reasons = {name: _reason(name, cells) for name, cells in columns.items()}
    left_out = {name or "a column without a name": reason for name, reason in reasons.items() if reason}
    return Chosen(tuple(name for name, reason in reasons.items() if not reason), left_out)


def _reason(name: str, cells: Cells) -> str:
    """Why a column is no measure; empty if it is one."""
    count = len(cells.kinds)
    if not name:
        return "it has no name"
    if (cells.kinds == Kind.MISSING).all():
        return "no values"
    for kind, text in ((Kind.TEXT, "text"), (Kind.BOOLEAN, "booleans"), (Kind.INFINITE, "infinite values")):
        bad = int((cells.kinds == kind).sum())
        if bad:
            return text if bad == count else f"{text} in {bad} of {count} rows"
    if name.lower() in REPEATS or name.startswith("Unnamed:"):
        return "it tells rows apart"
    if schema.is_generalization(name):
        return "a generalization quantity, by its name"
    steps = np.diff(cells.numbers)
    if count > 2 and (steps == 1).all() and cells.numbers[0] in (0, 1):
        return "it counts the rows"
    return ""
