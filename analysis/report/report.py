"""The report of one or several sweeps: the verdict, its tables and figures, as files and as one page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.errors import AnalysisError
from analysis.report.cells import latex, markdown
from analysis.report.evidence import Evidence, gather
from analysis.report.exhibits import Exhibit, exhibits_of, over_sweeps
from analysis.report.figures.gap_against_sharpness import gap_figure
from analysis.report.figures.spectra import spectra_figure
from analysis.report.figures.style import Drawn
from analysis.report.figures.tau_by_measure import tau_figure
from analysis.report.figures.tau_over_orders import orders_figure
from analysis.report.optimizers import Comparison, compare_optimizers
from analysis.report.page import render_page
from analysis.report.tables import values_table
from analysis.report.verdict import VerdictLine, verdict
from analysis.results.sweep import SweepResults
from analysis.schema import TRIAL_ID

PAGE_FILE = "report.html"


@dataclass(frozen=True)
class Report:
    """The results of one or several sweeps so far."""

    title: str
    lines: Mapping[str, list[VerdictLine]]  # the verdict of each sweep
    table: pd.DataFrame  # the whole τ table, strongest first
    comparison: Comparison | None  # of optimizers, where a data set and network has several
    files: dict[str, bytes]  # by name, ready to be written or logged

    @property
    def note(self) -> str:
        """The verdict in Markdown, as the description of a run."""
        return "\n\n".join(_verdict_markdown(name, lines) for name, lines in self.lines.items())


def build_report(sweeps: Sequence[SweepResults], reproduce: Sequence[str] = ()) -> Report:
    """Build the verdict, tables, figures and page of the sweeps from their results.

    Args:
        sweeps: the results of each; the verdict of a sweep without measured trials says so.
        reproduce: the commands that produce this report again.

    Raises:
        AnalysisError: there is no sweep, or two share a name.
    """
    names = [sweep.name for sweep in sweeps]
    if not names or len(set(names)) < len(names):
        raise AnalysisError(f"a report needs at least one sweep, and a different name for each; got {names}")
    evidence = [gather(sweep) for sweep in sweeps]
    lines = {found.matrix.name: verdict(found) for found in evidence}
    comparison = _compared(evidence)
    exhibits = exhibits_of(evidence, comparison)
    tau = over_sweeps(evidence, lambda found: found.tau)
    numbers = {"tau": tau, "trials": over_sweeps(evidence, lambda found: values_table(found.matrix))}
    drawings = _drawings(evidence, sweeps)
    title = ", ".join(names)
    files = {f"{name}.csv": table.to_csv(index=False).encode() for name, table in numbers.items()}
    for exhibit in exhibits:
        files[f"{exhibit.name}.csv"] = exhibit.table.to_csv(index=False).encode()
    for drawn in drawings:
        files |= drawn.files()
    files["verdict.md"] = _markdown(title, lines, exhibits, reproduce).encode()
    files["tables.tex"] = "\n\n".join(
        latex(exhibit.table, f"{exhibit.title}. {exhibit.note}", exhibit.name) for exhibit in exhibits
    ).encode()
    svgs = {drawn.name: files[f"{drawn.name}.svg"].decode() for drawn in drawings}
    files[PAGE_FILE] = render_page(title, lines, exhibits, drawings, svgs, numbers, reproduce).encode()
    return Report(title, lines, tau, comparison, files)


def _drawings(evidence: Sequence[Evidence], sweeps: Sequence[SweepResults]) -> list[Drawn]:
    """All figures: first those over all sweeps, then those of each sweep."""
    found: list[Drawn | None] = [tau_figure(evidence), orders_figure(evidence)]
    for one, sweep in zip(evidence, sweeps, strict=True):
        of_sweep = [gap_figure(one.matrix, one.association), spectra_figure(one, sweep.spectra)]
        found += [drawn.of_sweep(sweep.name) if drawn and len(sweeps) > 1 else drawn for drawn in of_sweep]
    return [drawn for drawn in found if drawn is not None]


def _compared(evidence: Sequence[Evidence]) -> Comparison | None:
    """The optimizers of all sweeps together; a trial that several sweeps share counts once."""
    trials = pd.concat([found.matrix.trials for found in evidence], ignore_index=True)
    return compare_optimizers(trials.drop_duplicates(TRIAL_ID, ignore_index=True))


def _markdown(
    title: str, lines: Mapping[str, list[VerdictLine]], exhibits: Sequence[Exhibit], reproduce: Sequence[str]
) -> str:
    parts = [f"# {title}: which measures predict the generalization gap"]
    parts += [_verdict_markdown(name, found) for name, found in lines.items()]
    for exhibit in exhibits:
        parts.append(f"## {exhibit.title}\n\n{exhibit.note}\n\n{markdown(exhibit.table)}")
    if reproduce:
        parts.append("\n".join(["## How to reproduce this report", "", "```sh", *reproduce, "```"]))
    return "\n\n".join(parts) + "\n"


def _verdict_markdown(name: str, lines: Sequence[VerdictLine]) -> str:
    return "\n".join([f"## {name}", "", *(f"- **{line.topic}**: {line.text}" for line in lines)])
