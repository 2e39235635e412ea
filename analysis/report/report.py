"""The report of one or several sweeps: the verdict, its tables and figures, as files and as one page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.errors import AnalysisError
from analysis.report.cells import latex, markdown
from analysis.report.evidence import Evidence, weigh
from analysis.report.figures.gap_against_sharpness import gap_figure
from analysis.report.figures.spectra import cluster_table, spectra_figure
from analysis.report.figures.style import Drawn
from analysis.report.figures.tau_by_measure import tau_figure
from analysis.report.figures.tau_over_orders import orders_figure
from analysis.report.optimizers import Comparison, compare_optimizers
from analysis.report.page import render_page
from analysis.report.tables import values_table
from analysis.report.verdict import Line, verdict
from analysis.results.mlflow import SweepResults
from analysis.schema import TRIAL_ID

PAGE_FILE = "report.html"
TAU_FILE = "tau.csv"


@dataclass(frozen=True)
class Exhibit:
    """A table of the report, with the words that go with it."""

    name: str  # of its files
    title: str
    note: str
    table: pd.DataFrame


@dataclass(frozen=True)
class Report:
    """What one or several sweeps have shown so far."""

    title: str
    lines: Mapping[str, list[Line]]  # the verdict of each sweep
    table: pd.DataFrame  # the whole τ table, strongest first
    comparison: Comparison | None  # of optimizers, where a data set and network has several
    files: dict[str, bytes]  # by name, ready to be written or logged

    @property
    def note(self) -> str:
        """The verdict in Markdown, as the description of a run."""
        return "\n\n".join(_verdict_markdown(name, lines) for name, lines in self.lines.items())


def build_report(sweeps: Sequence[SweepResults], reproduce: Sequence[str] = ()) -> Report:
    """Everything there is to say about the sweeps, from their tidy tables.

    Args:
        sweeps: the results of each; those without a measured trial get a verdict that says so.
        reproduce: the commands that give this report again.

    Raises:
        AnalysisError: there is no sweep, or two share a name.
    """
    names = [sweep.name for sweep in sweeps]
    if not names or len(set(names)) < len(names):
        raise AnalysisError(f"a report needs at least one sweep, each with a name of its own; got {names}")
    evidence = [weigh(sweep) for sweep in sweeps]
    lines = {found.matrix.name: verdict(found) for found in evidence}
    comparison = _compared(evidence)
    exhibits = _exhibits(evidence, sweeps, comparison)
    tau = _joined(evidence, lambda found: found.tau)
    numbers = {"tau": tau, "trials": _joined(evidence, lambda found: values_table(found.matrix))}
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


def _exhibits(
    evidence: Sequence[Evidence], sweeps: Sequence[SweepResults], comparison: Comparison | None
) -> list[Exhibit]:
    """The tables that the page shows, those without rows left out."""
    headline = ["measure", "parameter", "layer", "tau_b", "ci_low", "ci_high", "p_value", "p_adjusted"]
    headline += ["n", "missing", "ties", "noise", "attenuation"]
    clusters = [
        (found, cluster_table(found, sweep.spectra))
        for found, sweep in zip(evidence, sweeps, strict=True)
        if sweep.spectra
    ]
    exhibits = [
        Exhibit(
            "headline",
            "Kendall's τ of every declared measure",
            "Orders and radii were fixed before any τ was looked at. The adjusted p allows for the number of columns "
            "looked at.",
            _joined(evidence, lambda found: found.headline[headline]),
        ),
        Exhibit(
            "selection",
            "What choosing the order is worth",
            "The paper shows each layer at the order of its highest τ. That is a maximum over many, positive even "
            "without any association. The nested τ ranks each pair of trials by the order that is best on all other "
            "trials; p compares the maximum with maxima under permuted gaps. Measures with a radius get the same.",
            _joined(evidence, lambda found: found.selection),
        ),
        Exhibit(
            "differences",
            "Rényi sharpness against each other measure",
            "Same layer, same trials: paired bootstrap intervals and paired permutation tests, Holm's correction over "
            "the whole table.",
            _joined(evidence, lambda found: found.differences),
        ),
        Exhibit(
            "training",
            "Is it only how far the networks were trained?",
            "A measure and the gap may both follow the training loss. What remains given the training loss, and among "
            "trials of like training loss.",
            _joined(evidence, lambda found: found.training),
        ),
        Exhibit(
            "axes",
            "Axis by axis",
            "Ψ asks whether a measure follows the gap when a single hyperparameter changes, K whether it tells "
            "anything that hyperparameters do not. Coupled axes are one axis.",
            _joined(evidence, lambda found: found.axes),
        ),
        Exhibit(
            "clusters",
            "Clusters in the spectra, and the order they call for",
            "Kinds by a rule of this software, which sees spectra alone; the paper sorts by eye. It argues that "
            "several clusters call for an order below 1, a single one for an order above.",
            pd.concat([_named(table, found, len(evidence)) for found, table in clusters])
            if clusters
            else pd.DataFrame(),
        ),
    ]
    if comparison is not None:
        exhibits += [
            Exhibit("table1", "Optimizers compared", comparison.note, comparison.table),
            Exhibit(
                "optimizers",
                "Each optimizer in detail",
                "Differences are between runs of the same seed, which start at the same weights and see the images in "
                "the same order. The best epoch is chosen by the test images, and so is optimistic; the paper's "
                "figures are probably of this kind.",
                _filled(comparison.methods),
            ),
        ]
    return [exhibit for exhibit in exhibits if len(exhibit.table)]


def _filled(table: pd.DataFrame) -> pd.DataFrame:
    """The table without columns that have no entry at all."""
    return table.loc[:, (table.notna() & (table != "")).any()]


def _drawings(evidence: Sequence[Evidence], sweeps: Sequence[SweepResults]) -> list[Drawn]:
    """All figures: those over sweeps, then those of each."""
    found: list[Drawn | None] = [tau_figure(evidence), orders_figure(evidence)]
    for one, sweep in zip(evidence, sweeps, strict=True):
        of_sweep = [gap_figure(one.matrix, one.association), spectra_figure(one, sweep.spectra)]
        found += [drawn.of_sweep(sweep.name) if drawn and len(sweeps) > 1 else drawn for drawn in of_sweep]
    return [drawn for drawn in found if drawn is not None]


def _joined(evidence: Sequence[Evidence], table: Callable[[Evidence], pd.DataFrame]) -> pd.DataFrame:
    """One table over all sweeps; with several, each row names its sweep."""
    return pd.concat([_named(table(found), found, len(evidence)) for found in evidence], ignore_index=True)


def _named(table: pd.DataFrame, found: Evidence, num_sweeps: int) -> pd.DataFrame:
    if num_sweeps == 1:
        return table
    named = table.copy()
    named.insert(0, "sweep", found.matrix.name)
    return named


def _compared(evidence: Sequence[Evidence]) -> Comparison | None:
    """The optimizers of all sweeps together; a trial that several sweeps share counts once."""
    trials = pd.concat([found.matrix.trials for found in evidence], ignore_index=True)
    return compare_optimizers(trials.drop_duplicates(TRIAL_ID, ignore_index=True))


def _markdown(
    title: str, lines: Mapping[str, list[Line]], exhibits: Sequence[Exhibit], reproduce: Sequence[str]
) -> str:
    parts = [f"# {title}: which measures predict the generalization gap"]
    parts += [_verdict_markdown(name, found) for name, found in lines.items()]
    for exhibit in exhibits:
        parts.append(f"## {exhibit.title}\n\n{exhibit.note}\n\n{markdown(exhibit.table)}")
    if reproduce:
        parts.append("\n".join(["## How to reproduce it", "", "```sh", *reproduce, "```"]))
    return "\n\n".join(parts) + "\n"


def _verdict_markdown(name: str, lines: Sequence[Line]) -> str:
    return "\n".join([f"## {name}", "", *(f"- **{line.topic}**: {line.text}" for line in lines)])
