"""The verdict of a report, and the comparison of optimizers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from analysis.terminal import titled
from orchestrator.display.terminal import console

if TYPE_CHECKING:
    from analysis.report.cells import TableCell
    from analysis.report.optimizers import Comparison
    from analysis.report.verdict import VerdictLine


def show_verdict(name: str, lines: "Sequence[VerdictLine]", target: str) -> None:
    """Show the verdict of a sweep or table, one topic on a line."""
    console.print(titled(name, f": Kendall's τ_b with {target}; positive supports a measure"))
    width = max(len(line.topic) for line in lines)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="dim", min_width=width, no_wrap=True)
    table.add_column()
    for line in lines:
        table.add_row(line.topic, line.text)
    console.print(table)


def show_comparison(comparison: "Comparison") -> None:
    """Show the comparison of optimizers in the layout of the paper's table 1, with a note on how it was made."""
    from analysis.report.cells import header, numeric, rows

    table = Table(box=None, padding=(0, 2, 1, 0))
    for column, flush_right in zip(comparison.table.columns, numeric(comparison.table), strict=True):
        table.add_column(header(str(column)), justify="right" if flush_right else "left")
    for row in rows(comparison.table):
        table.add_row(*(_stacked(entry) for entry in row))
    console.print(titled("optimizers", ": test accuracy in %"))
    console.print(table)
    console.print(comparison.note, soft_wrap=False)


def _stacked(entry: "TableCell") -> Text:
    """A cell with mean, error and the paper's value on separate lines, so that the table fits a terminal."""
    text = entry.text.replace(" ± ", "\n± ")
    return Text.assemble((text, "bold" if entry.bold else ""), entry.beside.replace(" (", "\n("))
