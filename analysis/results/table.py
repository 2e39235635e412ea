"""Somebody's table, one row a model, checked: which columns are hyperparameters, targets and measures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis import schema
from analysis.errors import closest
from analysis.results.cells import Cells, Kind
from analysis.results.measure_columns import MeasureColumn, automatic_measures, measure_column
from analysis.results.reading import RawTable, TableError

SEED = "seed"
INTERNAL = (schema.TRIAL_ID, schema.TRAIN_LOSS)  # names of columns that the report makes
SHOWN = 3  # cells that a message quotes
_REMEDIES = {
    Kind.TEXT: "not a number; correct it, or leave the cell empty if the value is missing",
    Kind.BOOLEAN: "a boolean, not a number; write 0 or 1 if it is meant as one, or leave the column out",
    Kind.INFINITE: "infinite; leave the cell empty if the value is missing, or give a finite number",
}


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are, as their owner says."""

    axes: Sequence[str]  # hyperparameters; rows with equal ones are repeats of one configuration
    gaps: Sequence[str]  # what measures are ranked against
    training_loss: str | None = None
    measures: Sequence[str] | None = None  # None: every numeric column that is nothing else
    flip: Sequence[str] = ()  # measures for which larger means flatter


@dataclass(frozen=True)
class ModelTable:
    """A table that can be judged."""

    name: str
    trials: pd.DataFrame  # (N, …) trial_id (where the row is), the axes, the gaps, train_loss (NaN where unknown)
    axes: tuple[str, ...]  # without the seed
    gaps: tuple[str, ...]
    measures: tuple[MeasureColumn, ...]
    values: NDArray[np.float64]  # (N, num_measures), larger means sharper; NaN where missing
    notes: tuple[str, ...] = ()  # what was decided about its columns


def check_table(raw: RawTable, roles: Roles, name: str) -> ModelTable:
    """Give the columns of a table their roles.

    Rows with equal axes are repeats of one configuration, whatever else is in the table. An axis called `seed` is not
    an axis but says which repeat a row is. Missing cells and ties are data: they are counted, and nothing is refused.

    Args:
        raw: the table as it stands.
        roles: which columns are what.
        name: of the table, for the report.

    Raises:
        TableError: every problem: unknown or repeated columns, columns with two roles, cells that are no finite
            numbers, a gap without values, fewer than two rows.
    """
    return _Check(raw, roles).result(name)


def drawn(table: ModelTable, size: int, seed: int = 0) -> ModelTable:
    """The table, or a random draw of some of its models if it has more; a note says so.

    Raises:
        TableError: the size is not positive.
    """
    if size < 1:
        raise TableError(f"sample {size}: must be a positive number of models")
    count = len(table.trials)
    if size >= count:
        return table
    rows = np.sort(np.random.default_rng(seed).choice(count, size, replace=False))
    note = f"{size} of {count} models, drawn at random with seed {seed}"
    trials = table.trials.iloc[rows].reset_index(drop=True)
    return replace(table, trials=trials, values=table.values[rows], notes=(note, *table.notes))


class _Check:
    """One pass over a table that collects its problems."""

    def __init__(self, raw: RawTable, roles: Roles) -> None:
        self.raw, self.roles = raw, roles
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._cells: dict[str, Cells] = {}

    def result(self, name: str) -> ModelTable:
        roles = self.roles
        self._structure()
        axes = self._axes()
        gaps = [column for column in self._known("gap", roles.gaps) if self._numeric(column, "gap", needs_value=True)]
        loss = self._known("training loss", [roles.training_loss] if roles.training_loss else [])
        loss = [column for column in loss if self._numeric(column, "training loss", needs_value=True)]
        measures = self._measures(roles.measures)
        self._flip(measures)
        self._several_roles()
        if not roles.gaps:
            self._problem("gap", "is missing; name the column that the measures should predict")
        if self.problems:
            raise TableError(*dict.fromkeys(self.problems))
        return self._table(name, axes, gaps, loss, measures)

    def _problem(self, key: str, text: str) -> None:
        self.problems.append(f"{self.raw.source}: {key}: {text}")

    def cells(self, column: str) -> Cells:
        if column not in self._cells:
            self._cells[column] = Cells.of(self.raw.columns[column])
        return self._cells[column]

    def _structure(self) -> None:
        rows = self.raw.num_rows
        for column in self.raw.repeated:
            self._problem(f"column {column}", "several columns have this name; rename all but one")
        if rows < 2:
            self._problem("rows", f"{rows} model{'s' * (rows != 1)}; a ranking needs at least two rows, one a model")

    def _known(self, option: str, names: Sequence[str]) -> list[str]:
        found = []
        for name in dict.fromkeys(names):
            if name in self.raw.columns:
                found.append(name)
            else:
                self._problem(f"{option} {name}", f"no such column; {closest(name, self.raw.columns)}")
        for name in sorted({name for name in names if list(names).count(name) > 1}):
            self._problem(f"{option} {name}", "is named twice; name it once")
        return found

    def _axes(self) -> list[str]:
        if not self.roles.axes:
            self._problem(
                "axes",
                "is missing; name the columns of hyperparameters. If every row is a configuration of its own, name a "
                "column that differs in every row",
            )
        found = self._known("axes", self.roles.axes)
        axes = [name for name in found if name.lower() != SEED]
        if found and not axes:
            self._problem("axes", f"has only {found[0]}, which tells repeats apart; name the hyperparameters too")
        for name in set(axes) & set(INTERNAL):
            self._problem(f"axes {name}", "is a name that the report uses itself; rename the column")
        if len(axes) < len(found):
            self.notes.append("models that differ in the seed alone are repeats of one configuration")
        return axes

    def _numeric(self, column: str, option: str, needs_value: bool) -> bool:
        """Whether a column can be ranked; its bad cells become problems."""
        cells, good = self.cells(column), True
        for kind, remedy in _REMEDIES.items():
            rows = cells.where(kind)
            if len(rows):
                good = False
                quoted = ", ".join(f"{self.raw.place(int(row))}: {cells.raw[row]!r}" for row in rows[:SHOWN])
                more = f" and {len(rows) - SHOWN} more cells" if len(rows) > SHOWN else ""
                self._problem(f"column {column}", f"{quoted}{more}: {remedy}")
        if good and needs_value and not cells.is_numeric and self.raw.num_rows:
            self._problem(f"{option} {column}", "has no value in any row; name another column")
            return False
        return good

    def _measures(self, named: Sequence[str] | None) -> list[str]:
        if named is not None:
            if not named:
                self._problem("measures", "names no column; leave it out to take every numeric column")
            return [name for name in self._known("measures", named) if self._numeric(name, "measures", True)]
        roles = self.roles
        taken = {*roles.axes, *roles.gaps, *([roles.training_loss] if roles.training_loss else [])}
        found = automatic_measures({name: self.cells(name) for name in self.raw.columns if name not in taken})
        if not found.taken:
            self._problem("measures", f"no numeric column is left to be a measure{_reasons(found.left_out)}")
        else:
            self.notes.append(f"measures taken: {', '.join(found.taken)}{_reasons(found.left_out)}")
        return list(found.taken)

    def _flip(self, measures: Sequence[str]) -> None:
        for name in self._known("flip", self.roles.flip):
            known = self.roles.measures or measures
            if name not in known:
                self._problem(f"flip {name}", f"is not among the measures; {closest(name, known)}")

    def _several_roles(self) -> None:
        roles = self.roles
        named = {"axes": roles.axes, "gap": roles.gaps, "measures": roles.measures or ()}
        named["training loss"] = [roles.training_loss] if roles.training_loss else []
        options: dict[str, list[str]] = {}
        for option, names in named.items():
            for name in dict.fromkeys(names):
                options.setdefault(name, []).append(option)
        for name, given in options.items():
            if len(given) > 1:
                self._problem(f"column {name}", f"has several roles: {', '.join(given)}; give it one")
        for name in set(roles.gaps) & set(INTERNAL) - {roles.training_loss}:
            self._problem(f"gap {name}", "is a name that the report uses itself; rename the column")

    def _table(self, title: str, axes: list[str], gaps: list[str], loss: list[str], measures: list[str]) -> ModelTable:
        flip = set(self.roles.flip)
        trials: dict[str, object] = {schema.TRIAL_ID: [self.raw.place(row) for row in range(self.raw.num_rows)]}
        trials |= {axis: self.cells(axis).levels() for axis in axes}
        for name in self.roles.axes:
            if name.lower() == SEED:
                trials[SEED] = self.cells(name).levels()
        trials |= {gap: self.cells(gap).numbers for gap in gaps}
        trials[schema.TRAIN_LOSS] = self.cells(loss[0]).numbers if loss else np.full(self.raw.num_rows, np.nan)
        signs = np.array([-1.0 if measure in flip else 1.0 for measure in measures])
        values = np.stack([self.cells(measure).numbers for measure in measures], axis=1) * signs
        flipped = [measure for measure in measures if measure in flip]
        if flipped:
            self.notes.append(f"sign reversed, so that larger means sharper: {', '.join(flipped)}")
        if not loss:
            self.notes.append("no training loss given")
        columns = tuple(measure_column(measure, measure in flip) for measure in measures)
        return ModelTable(title, pd.DataFrame(trials), tuple(axes), tuple(gaps), columns, values, tuple(self.notes))


def _reasons(left_out: dict[str, str]) -> str:
    if not left_out:
        return ""
    return f"; left out: {'; '.join(f'{name} ({reason})' for name, reason in left_out.items())}"
