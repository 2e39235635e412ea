import dataclasses
import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from analysis.report.evidence import Evidence
from analysis.report.page.page import inline_svg, unfinished
from analysis.report.report import PAGE_FILE, Report, build_report
from analysis.results.sweep import SweepResults
from tests.analysis.report.page.study import STUDY
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
    assert found.opened.count("table") == len(TABLES) + 1  # the overview
    for line in report.lines["simulated"]:
        assert f"<dt>{line.topic}</dt>" in page
    assert page.index('class="answers"') < page.index("<dt>verdict</dt>") < page.index('id="heat_map"')
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
    assert inlined.startswith('<svg role="img" aria-label="Title" style="min-width: 192px; max-width: 288px"')
    assert 'id="figure-a"' in inlined
    assert 'href="#figure-a"' in inlined
    assert "url(#figure-a)" in inlined
    assert "fill: none" in inlined
    assert "stroke: currentColor" in inlined
    assert "metadata" not in inlined


def test_every_explanation_is_text_that_a_finger_can_reach(page: str) -> None:
    found = Collector()
    found.feed(page)
    assert not [value for tag, name, value in found.attributes if name == "title" and tag != "svg"]
    assert found.opened.count("caption") == found.opened.count("table")
    assert page.count("What the columns mean") == len(TABLES)
    assert ("th", "scope", "row") in found.attributes


def test_the_study_stands_in_the_page_with_its_file(results: SweepResults) -> None:
    told = dataclasses.replace(results, study=STUDY)
    page = build_report([told], COMMANDS).files[PAGE_FILE].decode()
    for text in (
        "1 000 training images",
        "sgd × learning_rate",
        "commit 0123456789ab",
        "2026-01-02 03:04+00:00",
        "<dd>30 measured</dd>",
    ):
        assert text in page
    assert "name: simulated  # a &amp; b &lt;/pre&gt;" in page  # as text
    assert "conv 1, 3×3, 8" in page
    assert "@misc{zhang2025renyi," in page


def test_results_of_a_sweep_in_progress_are_marked(results: SweepResults, evidence: Evidence, page: str) -> None:
    assert unfinished(evidence, [evidence]) == ""
    assert "Partial results" not in page
    states = {"measured": 12, "training": 2, "pending": 15, "failed": 1}
    partial = build_report([dataclasses.replace(results, states=states)]).files[PAGE_FILE].decode()
    assert "12 of 30 trials are measured, 17 are not finished, 1 failed" in partial
