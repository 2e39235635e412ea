"""The page: answers, study, figures, tables and definitions in one HTML file that loads nothing from the network."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.inert import for_csv, for_script
from analysis.report.cells import explanation, header, numeric, rows
from analysis.report.evidence import label
from analysis.report.page.answers import answers
from analysis.report.page.definitions import GLOSSARY, definitions
from analysis.report.page.explorer import explorer
from analysis.report.page.heat_map import heat_map
from analysis.report.page.methods import methods
from analysis.schema import MEASURE

if TYPE_CHECKING:
    from jinja2 import Template

    from analysis.report.cells import TableCell
    from analysis.report.evidence import Evidence
    from analysis.report.exhibits import Exhibit
    from analysis.report.figures.style import Drawn
    from analysis.report.verdict import VerdictLine
    from analysis.results.study import Study

HERE = Path(__file__).parent
SCRIPTS = ("kendall.js", "tables.js", "panels.js", "explorer.js")
NUMBER_TITLES = {
    "tau": "Every measure at every order and radius",
    "trials": "Every trial: hyperparameters, losses, and each declared measure",
}
MOST_PRINTED = 30  # rows of a table; longer ones are left out of print, which says so
_INK = (("#000000", "currentColor"), ("#ffffff", "none"))
_UNFINISHED = ("pending", "training", "trained", "unfinished")  # states of trials that may still have results


@dataclass(frozen=True)
class Sweep:
    """What the page shows of one sweep beside its evidence."""

    study: "Study | None" = None
    runs: Mapping[str, str] = field(default_factory=dict)  # trial_id → its run's place among MLflow's pages


@dataclass(frozen=True)
class Contents:
    """What a page is made of."""

    title: str  # names of the sweeps
    evidence: "Sequence[Evidence]"
    sweeps: Mapping[str, Sweep]  # by name
    lines: "Mapping[str, Sequence[VerdictLine]]"  # the verdict of each sweep
    exhibits: "Sequence[Exhibit]"
    drawings: "Sequence[Drawn]"  # figures, in order
    svgs: Mapping[str, str]  # each figure as SVG, by its name
    numbers: Mapping[str, pd.DataFrame]  # further tables, by name
    reproduce: Sequence[str]  # commands that produce the page again
    target: str  # what the measures are ranked against, for a sentence


def render_page(contents: Contents) -> str:
    """The report as HTML. All it needs is inside; without script or in print, static figures and tables remain."""
    evidence = contents.evidence
    figures = [_figure(drawn, contents.svgs) for drawn in contents.drawings]
    within = {figure["within"]: figure for figure in figures if figure["within"]}
    ids = {"heat_map", "explorer", *(figure["name"] for figure in figures), *(each.name for each in contents.exhibits)}
    return _template().render(
        title=contents.title,
        target=contents.target,
        lines=contents.lines,
        partial=[text for found in evidence if (text := unfinished(found, evidence))],
        answers={label(found, evidence): answers(found) for found in evidence},
        ids=ids,
        studies=[
            {
                "name": name,
                "study": sweep.study,
                "states": ", ".join(f"{n} {state}" for state, n in _first(evidence, name).states.items() if n),
                "methods": methods(sweep.study, _first(evidence, name)),
            }
            for name, sweep in contents.sweeps.items()
            if sweep.study is not None
        ],
        heat_maps={label(found, evidence): drawn for found in evidence if (drawn := heat_map(found)) is not None},
        explorers=[numbers for found in evidence if (numbers := _explorer(found, contents)) is not None],
        figures=[figure for figure in figures if not figure["within"]],
        within=within,
        exhibits=[_exhibit(exhibit, _words(evidence)) for exhibit in contents.exhibits],
        most_printed=MOST_PRINTED,
        left_out=[f"{each.name}.csv" for each in contents.exhibits if len(each.table) > MOST_PRINTED],
        definitions=definitions(str(key) for found in evidence for key in found.matrix.keys[MEASURE]),
        glossary=GLOSSARY,
        numbers=[
            {"name": name, "title": NUMBER_TITLES[name], "csv": _csv(table), "count": len(table)}
            for name, table in contents.numbers.items()
        ],
        reproduce=contents.reproduce,
        style=_text("page.css"),
        scripts=[_text(name) for name in SCRIPTS],
    )


def unfinished(found: "Evidence", among: "Sequence[Evidence]") -> str:
    """`digits: 12 of 30 trials are measured, 18 are not finished`; empty where no trial can still have results."""
    counts = {state: count for state, count in found.states.items() if count}
    open_ = sum(counts.get(state, 0) for state in _UNFINISHED)
    if not open_:
        return ""
    measured, failed = counts.get("measured", 0), counts.get("failed", 0)
    text = f"{label(found, among)}: {measured} of {sum(counts.values())} trials are measured, {open_} are not finished"
    return text + (f", {failed} failed" if failed else "")


def inline_svg(svg: str, name: str, title: str) -> str:
    """An SVG as part of the page: with unique ids, the page's text colour, no background, and text of legible size."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    for printed, on_page in _INK:
        body = body.replace(printed, on_page)
    width = re.search(r'width="([\d.]+)pt"', body)
    body = re.sub(r'(width|height)="[\d.]+pt"', "", body, count=2)
    natural = float(width[1]) * 4 / 3 if width else 0.0  # px
    size = f'style="min-width: {min(natural, 720):.0f}px; max-width: {1.5 * natural:.0f}px"' if width else ""
    return body.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}" {size}', 1)


def _figure(drawn: "Drawn", svgs: Mapping[str, str]) -> dict[str, object]:
    return {
        "name": drawn.name,
        "title": drawn.title,
        "caption": drawn.caption,
        "svg": inline_svg(svgs[drawn.name], drawn.name, drawn.title),
        "csv": _csv(drawn.numbers),
        "within": drawn.within,
        "explored": drawn.explored,
    }


def _exhibit(exhibit: "Exhibit", words: Mapping[str, str]) -> dict[str, object]:
    names = [str(name) for name in exhibit.table.columns]
    return {
        "name": exhibit.name,
        "title": exhibit.title,
        "note": exhibit.note,
        "columns": [
            (header(name), explanation(name), flush) for name, flush in zip(names, numeric(exhibit.table), strict=True)
        ],
        "rows": _in_words(rows(exhibit.table), exhibit.table, words),
    }


def _in_words(
    cells: "list[list[TableCell]]", table: pd.DataFrame, words: Mapping[str, str]
) -> "list[list[tuple[TableCell, str]]]":
    """Every cell with its text on the page: layers by what they are."""
    layered = [name in ("layer", "paper_layer") for name in table.columns]
    raw = table.itertuples(index=False, name=None)
    return [
        [
            (cell, words.get(value, cell.text) if is_layer else cell.text)
            for cell, value, is_layer in zip(line, values, layered, strict=True)
        ]
        for line, values in zip(cells, raw, strict=True)
    ]


def _words(evidence: "Sequence[Evidence]") -> dict[str, str]:
    """What layers are; a name that means different layers in different sweeps stays a name."""
    found: dict[str, set[str]] = {}
    for one in evidence:
        for layer in one.matrix.layers:
            found.setdefault(layer, set()).add(one.matrix.layer_title(layer))
    return {layer: next(iter(titles)) for layer, titles in found.items() if len(titles) == 1}


def _explorer(found: "Evidence", contents: Contents) -> str | None:
    sweep = contents.sweeps.get(found.matrix.name, Sweep())
    return explorer(label(found, contents.evidence), found, sweep.study, dict(sweep.runs))


def _first(evidence: "Sequence[Evidence]", name: str) -> "Evidence":
    return next(found for found in evidence if found.matrix.name == name)


def _csv(table: pd.DataFrame) -> str:
    """A table as CSV with six digits, escaped so that it can't close the script element around it."""
    return for_script(for_csv(table, float_format="%.6g"))


@cache
def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FileSystemLoader(HERE),
    )
    return environment.get_template("page.html.jinja")
