"""`renyi.judge`: the verdict on anybody's table of models, without a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.report.report import PAGE_FILE, Report, build_table_report
from analysis.results.reading import of_frame
from analysis.results.table import Roles, check_table, drawn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analysis.report.verdict import VerdictLine


@dataclass(frozen=True)
class Judgement:
    """The verdict on a table, with its tables and figures; prints as the verdict's text."""

    report: Report

    @property
    def lines(self) -> "Mapping[str, list[VerdictLine]]":
        """The verdict, one topic a line; for several gaps by gap."""
        return self.report.lines

    @property
    def table(self) -> pd.DataFrame:
        """τ of every measure, strongest first; for several gaps with a column `target`."""
        return self.report.table

    def write(self, folder: str | Path) -> Path:
        """Write the page, every table and every figure into a folder; the path of the page."""
        place = Path(folder).expanduser()
        place.mkdir(parents=True, exist_ok=True)
        for name, data in self.report.files.items():
            (place / name).write_bytes(data)
        return place / PAGE_FILE

    def __str__(self) -> str:
        parts = []
        for name, lines in self.lines.items():
            width = max(len(line.topic) for line in lines)
            parts.append("\n".join([name, *(f"  {line.topic:>{width}}  {line.text}" for line in lines)]))
        return "\n\n".join(parts)

    def _repr_markdown_(self) -> str:
        return self.report.note


def judge(
    frame: pd.DataFrame,
    *,
    axes: str | Sequence[str],
    gap: str | Sequence[str],
    training_loss: str | None = None,
    measures: Sequence[str] | None = None,
    flip: Sequence[str] = (),
    sample: int | None = None,
    name: str = "table",
) -> Judgement:
    """Which measures predict the gap, by a table with one row a model: the verdict that a sweep gets.

    Rows with equal axes are repeats of one configuration and are resampled together; an axis called `seed` only tells
    them apart. Missing values and ties are counted and named. Cost: O(N²) for each of some thousand draws up to
    `MOST_PAIRED` models; above, O(N log² N), without permutations (the verdict says so).

    Args:
        frame: one row a model.
        axes: columns of the hyperparameters.
        gap: the column that measures should predict, or several; each has its own tables.
        training_loss: the column of the training loss, if there is one.
        measures: columns to rank; left out, every numeric column that is nothing else. The verdict names them.
        flip: measures for which larger means flatter; their signs are reversed.
        sample: judge a random draw of at most this many models; the verdict says so.
        name: of the table, for titles.

    Raises:
        TableError: every problem of the table, with its column, row and value, and what to do.
    """
    roles = Roles(_several(axes), _several(gap), training_loss, measures, tuple(flip))
    table = check_table(of_frame(frame), roles, name)
    return Judgement(build_table_report(table if sample is None else drawn(table, sample)))


def _several(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
