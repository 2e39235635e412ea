"""The report of one or several sweeps: the verdict, its tables and figures, as files and as one page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import pandas as pd

from analysis.errors import AnalysisError
from analysis.inert import code_for_markdown, for_csv, for_markdown
from analysis.report.agreement import Ranking, agreement
from analysis.report.cells import latex, markdown
from analysis.report.evidence import Evidence, evidence_of, gather, label, matrix_of, target_of_all
from analysis.report.exhibits import Exhibit, exhibits_of, over_sweeps
from analysis.report.figures.gap_against_sharpness import gap_figure
from analysis.report.figures.spectra import spectra_figure
from analysis.report.figures.style import Drawn
from analysis.report.figures.tau_by_measure import tau_figures
from analysis.report.figures.tau_over_orders import orders_figure
from analysis.report.many import evidence_of_many, shown_in_figures, verdict_of_many
from analysis.report.optimizers import Comparison, compare_optimizers
from analysis.report.page.page import Contents, Sweep, render_page
from analysis.report.statements import LEAST_FOR_CLAIMS, MOST_PAIRED
from analysis.report.sweep_matrix import SweepMatrix
from analysis.report.tables import values_table
from analysis.report.verdict import VerdictLine, verdict
from analysis.results.sweep import SweepResults
from analysis.results.table import ModelTable
from analysis.results.targets import ERROR, LOSS, Target
from analysis.schema import TRIAL_ID
from analysis.spectrum.quadrature import Quadratures

PAGE_FILE = "report.html"


@dataclass(frozen=True)
class Report:
    """The results of one or several sweeps so far."""

    title: str
    lines: Mapping[str, list[VerdictLine]]  # the verdict of each sweep
    table: pd.DataFrame  # the whole τ table, strongest first
    comparison: Comparison | None  # of optimizers, where a data set and network has several
    files: dict[str, bytes]  # by name, ready to be written or logged
    targets: Mapping[str, str]  # of each verdict, what measures are ranked against, for a sentence

    @property
    def note(self) -> str:
        """The verdict in Markdown, as the description of a run."""
        return "\n\n".join(_verdict_markdown(name, lines) for name, lines in self.lines.items())


def build_report(
    sweeps: Sequence[SweepResults], reproduce: Sequence[str] = (), targets: Sequence[Target] = (LOSS,)
) -> Report:
    """Build the verdict, tables, figures and page of the sweeps from their results.

    Args:
        sweeps: the results of each; the verdict of a sweep without measured trials says so.
        reproduce: the commands that produce this report again.
        targets: what measures are ranked against, each in its own tables; the first leads.

    Raises:
        AnalysisError: there is no sweep, two share a name, or a target is not in the results.
    """
    names = [sweep.name for sweep in sweeps]
    if not names or len(set(names)) < len(names):
        raise AnalysisError(f"a report needs at least one sweep, and a different name for each; got {names}")
    evidence = [_evidence(sweep, target) for sweep in sweeps for target in targets]
    spectra = {sweep.name: sweep.spectra for sweep in sweeps}
    elsewhere = {sweep.name: _unnamed(sweep, targets) for sweep in sweeps}
    agreed = _agreements(evidence, elsewhere)
    told = {sweep.name: Sweep(sweep.study, sweep.runs) for sweep in sweeps}
    return _report(", ".join(names), evidence, spectra, _compared(evidence), reproduce, compared=agreed, sweeps=told)


def build_table_report(table: ModelTable, reproduce: Sequence[str] = ()) -> Report:
    """The same of somebody's table: its verdict, tables, figures and page, for each of its gaps."""
    matrices = [SweepMatrix.of_table(table, gap) for gap in table.gaps]
    many = any(matrix.n > MOST_PAIRED for matrix in matrices)
    evidence = [evidence_of_many(matrix) if many else evidence_of(matrix) for matrix in matrices]
    agreed = None if many else _agreements(evidence, {})
    notes = VerdictLine("the table", "; ".join(table.notes))
    return _report(table.name, evidence, {}, None, reproduce, notes, compared=agreed)


def _evidence(sweep: SweepResults, target: Target) -> Evidence:
    """The evidence of a sweep: with tests, or, of more trials than can be compared pair by pair, without."""
    if sweep.states.get("measured", 0) <= MOST_PAIRED:
        return gather(sweep, target)
    found = evidence_of_many(matrix_of(sweep, target))
    return replace(found, states=sweep.states, failures=sweep.failures, remarks=sweep.remarks)


def _unnamed(sweep: SweepResults, targets: Sequence[Target]) -> list[Ranking]:
    """The ranking by the gap in error, where it is logged and no table of its own is asked for."""
    many = sweep.states.get("measured", 0) > MOST_PAIRED
    if many or ERROR in targets or ERROR.column not in sweep.table or sweep.table[ERROR.column].isna().all():
        return []
    return [Ranking.computed(SweepMatrix.of(sweep.table, sweep.name, ERROR, sweep.grid))]


def _agreements(evidence: Sequence[Evidence], elsewhere: Mapping[str, list[Ranking]]) -> dict[str, VerdictLine]:
    """By the label of each sweep's first target, how the others agree with it."""
    found: dict[str, VerdictLine] = {}
    for name in dict.fromkeys(one.matrix.name for one in evidence):
        first, *others = [one for one in evidence if one.matrix.name == name]
        if first.interval != "bootstrap":
            continue
        rankings = [*(Ranking.of(other) for other in others), *elsewhere.get(name, [])]
        line = agreement(Ranking.of(first), rankings)
        if line is not None and _is_judged(first):
            found[label(first, evidence)] = line
    return found


def _is_judged(one: Evidence) -> bool:
    """Whether there are enough configurations for anything to be called significant."""
    return one.matrix.design.num_cells >= LEAST_FOR_CLAIMS


def _report(
    title: str,
    evidence: Sequence[Evidence],
    spectra: Mapping[str, Mapping[str, Quadratures]],
    comparison: Comparison | None,
    reproduce: Sequence[str],
    *further: VerdictLine,
    compared: Mapping[str, VerdictLine] | None = None,
    sweeps: Mapping[str, Sweep] = MappingProxyType({}),
) -> Report:
    """Set the evidence as text, tables, figures and one page."""
    lines = {label(found, evidence): [*_verdict(found), *further] for found in evidence}
    for name, line in (compared or {}).items():
        lines[name].append(line)
    exhibits = exhibits_of(evidence, comparison)
    tau = over_sweeps(evidence, lambda found: found.tau)
    numbers = {"tau": tau}
    if all(found.interval == "bootstrap" for found in evidence):  # of very many models the table itself has them
        numbers["trials"] = over_sweeps(evidence, lambda found: values_table(found.matrix))
    drawings = _drawings(evidence, spectra)
    files = {f"{name}.csv": for_csv(table).encode() for name, table in numbers.items()}
    for exhibit in exhibits:
        files[f"{exhibit.name}.csv"] = for_csv(exhibit.table).encode()
    for drawn in drawings:
        files |= drawn.files()
    files["verdict.md"] = _markdown(title, lines, exhibits, reproduce).encode()
    files["tables.tex"] = "\n\n".join(
        latex(exhibit.table, f"{exhibit.title}. {exhibit.note}", exhibit.name) for exhibit in exhibits
    ).encode()
    svgs = {drawn.name: files[f"{drawn.name}.svg"].decode() for drawn in drawings}
    target = target_of_all(evidence)
    contents = Contents(title, evidence, sweeps, lines, exhibits, drawings, svgs, numbers, reproduce, target)
    files[PAGE_FILE] = render_page(contents).encode()
    targets = {label(found, evidence): target_of_all([found]) for found in evidence}
    return Report(title, lines, tau, comparison, files, targets)


def _verdict(found: Evidence) -> list[VerdictLine]:
    return verdict(found) if found.interval == "bootstrap" else verdict_of_many(found)


def _drawings(evidence: Sequence[Evidence], spectra: Mapping[str, Mapping[str, Quadratures]]) -> list[Drawn]:
    """All figures: first those over all sweeps, then those of each sweep."""
    found: list[Drawn | None] = [*tau_figures(evidence), orders_figure(evidence)]
    drawn_spectra = dict(spectra)
    for one in evidence:
        of_sweep = [
            gap_figure(shown_in_figures(one.matrix), one.association, one.interval, one.matrix.n),
            spectra_figure(one, drawn_spectra.pop(one.matrix.name, {})),
        ]
        name, tag = label(one, evidence), _tag(one, evidence)
        found += [drawn.of_sweep(name, tag) if drawn and len(evidence) > 1 else drawn for drawn in of_sweep]
    return [drawn for drawn in found if drawn is not None]


def _tag(one: Evidence, evidence: Sequence[Evidence]) -> str:
    """What tells a sweep's figures from the others in the names of files."""
    several = label(one, evidence) != one.matrix.name
    return re.sub(r"[^\w.-]+", "-", f"{one.matrix.name}_{one.matrix.target.key}" if several else one.matrix.name)


def _compared(evidence: Sequence[Evidence]) -> Comparison | None:
    """The optimizers of all sweeps together; a trial that several sweeps share counts once."""
    trials = pd.concat([found.matrix.trials for found in evidence], ignore_index=True)
    return compare_optimizers(trials.drop_duplicates(TRIAL_ID, ignore_index=True))


def _markdown(
    title: str, lines: Mapping[str, list[VerdictLine]], exhibits: Sequence[Exhibit], reproduce: Sequence[str]
) -> str:
    parts = [f"# {for_markdown(title)}: which measures predict the generalization gap"]
    parts += [_verdict_markdown(name, found) for name, found in lines.items()]
    for exhibit in exhibits:
        parts.append(f"## {for_markdown(exhibit.title)}\n\n{for_markdown(exhibit.note)}\n\n{markdown(exhibit.table)}")
    if reproduce:
        parts.append(f"## How to reproduce this report\n\n{code_for_markdown(list(reproduce))}")
    return "\n\n".join(parts) + "\n"


def _verdict_markdown(name: str, lines: Sequence[VerdictLine]) -> str:
    return "\n".join(
        [f"## {for_markdown(name)}", "", *(f"- **{line.topic}**: {for_markdown(line.text)}" for line in lines)]
    )
