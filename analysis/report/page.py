"""The page: verdict, tables and figures in one HTML file that loads nothing from the network."""

import html
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.inert import for_csv, for_script
from analysis.report.cells import explanation, header, numeric, rows

if TYPE_CHECKING:
    from jinja2 import Template

    from analysis.report.exhibits import Exhibit
    from analysis.report.figures.style import Drawn
    from analysis.report.verdict import VerdictLine

TEMPLATE = Path(__file__).parent / "page.html.jinja"
NUMBER_TITLES = {
    "tau": "Every measure at every order and radius",
    "trials": "Every trial: hyperparameters, losses, and each declared measure",
}
_INK = (("#000000", "currentColor"), ("#ffffff", "none"))


def render_page(
    title: str,
    lines: "Mapping[str, Sequence[VerdictLine]]",
    exhibits: "Sequence[Exhibit]",
    drawings: "Sequence[Drawn]",
    svgs: Mapping[str, str],
    numbers: Mapping[str, pd.DataFrame],
    reproduce: Sequence[str],
    target: str,
) -> str:
    """The report as HTML: a click on a header sorts its table, and figures follow the reader's light or dark theme.

    Long tables that would make the page slow (points of the scatter figures, every order) are embedded as CSV and
    drawn only when the reader opens them.

    Args:
        title: names of the sweeps.
        lines: the verdict of each sweep.
        exhibits: tables to show.
        drawings: figures, in order.
        svgs: each figure as SVG, by its name.
        numbers: further tables, by name.
        reproduce: commands that produce the page again.
        target: what the measures are ranked against, for a sentence.
    """
    return _template().render(
        title=title,
        lines=lines,
        exhibits=[
            {
                "name": exhibit.name,
                "title": exhibit.title,
                "note": exhibit.note,
                "columns": [
                    (header(str(name)), explanation(str(name)), flush_right)
                    for name, flush_right in zip(exhibit.table.columns, numeric(exhibit.table), strict=True)
                ],
                "rows": rows(exhibit.table),
            }
            for exhibit in exhibits
        ],
        figures=[
            {
                "name": drawn.name,
                "title": drawn.title,
                "caption": drawn.caption,
                "svg": inline_svg(svgs[drawn.name], drawn.name, drawn.title),
                "csv": _csv(drawn.numbers),
            }
            for drawn in drawings
        ],
        numbers=[
            {"name": name, "title": NUMBER_TITLES[name], "csv": _csv(table), "count": len(table)}
            for name, table in numbers.items()
        ],
        reproduce=reproduce,
        target=target,
    )


def inline_svg(svg: str, name: str, title: str) -> str:
    """An SVG as part of the page: with unique ids, the page's text colour, no background, and at most its width."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    for printed, on_page in _INK:
        body = body.replace(printed, on_page)
    width = re.search(r'width="([\d.]+)pt"', body)
    body = re.sub(r'(width|height)="[\d.]+pt"', "", body, count=2)
    size = f'style="max-width: {float(width[1]) * 4 / 3:.0f}px"' if width else ""
    return body.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}" {size}', 1)


def _csv(table: pd.DataFrame) -> str:
    """A table as CSV with six digits, escaped so that it can't close the script element around it."""
    return for_script(for_csv(table, float_format="%.6g"))


@cache
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
