import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from analysis.report.page import inline_svg
from analysis.report.report import PAGE_FILE, Report, build_report
from analysis.results.sweep import SweepResults
from tests.analysis.report.test_report import COMMANDS, FIGURES, TABLES


@pytest.fixture(scope="module")
def report(results: SweepResults) -> Report:
    return build_report([results], COMMANDS)


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return report.files[PAGE_FILE].decode()


class Collector(HTMLParser):
    """Every attribute of every element, and every element that opens."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.opened: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]


def test_the_page_refers_to_nothing_outside_itself(page: str) -> None:
    found = Collector()
    found.feed(page)
    references = [value for _, name, value in found.attributes if name in ("src", "href", "xlink:href", "action")]
    assert references
    assert all(value is not None and value.startswith(("#", "data:")) for value in references)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_ids_are_there_once_and_links_lead_somewhere(page: str) -> None:
    found = Collector()
    found.feed(page)
    ids = [value for _, name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value[1:] for _, name, value in found.attributes if name.endswith("href") and value and value[0] == "#"}
    assert targets <= set(ids)


def test_the_page_shows_verdict_figures_tables_and_how_to_get_them(report: Report, page: str) -> None:
    found = Collector()
    found.feed(page)
    assert found.opened.count("svg") == found.opened.count("figure") == len(FIGURES)
    assert found.opened.count("table") == len(TABLES)
    for line in report.lines["simulated"]:
        assert f"<dt>{line.topic}</dt>" in page
    assert "renyi report simulated" in page
    assert page.count('<script type="text/csv"') == len(FIGURES) + 2


def test_the_numbers_in_the_page_are_those_of_the_files(report: Report, page: str) -> None:
    text = re.search(r'<script type="text/csv" id="csv-tau">(.*?)</script>', page, re.DOTALL)
    assert text is not None
    inside, beside = pd.read_csv(io.StringIO(text[1])), pd.read_csv(io.BytesIO(report.files["tau.csv"]))
    assert list(inside.columns) == list(beside.columns)
    np.testing.assert_allclose(inside["tau_b"], beside["tau_b"], rtol=1e-5)
    assert len(report.table) == len(beside)


def test_the_same_results_give_the_same_page(results: SweepResults, report: Report) -> None:
    again = build_report([results], COMMANDS)
    assert again.files[PAGE_FILE] == report.files[PAGE_FILE]


def test_figures_have_the_colour_of_the_pages_text() -> None:
    svg = (
        '<?xml version="1.0"?>\n<svg width="144pt" height="72pt"><metadata>x</metadata><g id="a" style="fill: #ffffff">'
    )
    svg += '<use href="#a" style="stroke: #000000" clip-path="url(#a)"/></g></svg>'
    inlined = inline_svg(svg, "figure", "Title")
    assert inlined.startswith('<svg role="img" aria-label="Title" style="max-width: 192px"')
    assert 'id="figure-a"' in inlined
    assert 'href="#figure-a"' in inlined
    assert "url(#figure-a)" in inlined
    assert "fill: none" in inlined
    assert "stroke: currentColor" in inlined
    assert "metadata" not in inlined
