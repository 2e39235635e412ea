import dataclasses
import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.report.figures.style import KINDS
from analysis.report.page import inline_svg
from analysis.report.report import PAGE_FILE, Report, build_report
from tests.analysis.simulated import LAYERS, simulated_sweep

FIGURES = ("tau_by_measure", "tau_over_orders", "gap_against_sharpness", "spectra")
TABLES = ("headline", "selection", "differences", "training", "axes", "clusters", "table1", "optimizers")


STYLE = "analysis.report.figures.style"


@pytest.fixture(autouse=True)
def one_kind_of_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """SVG alone, of few pixels: what the pictures show is tested with the figures."""
    monkeypatch.setattr(f"{STYLE}.KINDS", ("svg",))
    monkeypatch.setattr(f"{STYLE}.DPI", {"svg": 30})


def complete_report() -> Report:
    """The report of a simulated sweep with every kind of picture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{STYLE}.KINDS", KINDS)
        patch.setattr(f"{STYLE}.DPI", dict.fromkeys(KINDS, 30))
        return build_report([simulated_sweep(spectra=True)], ["renyi run simulated", "renyi report simulated"])


@pytest.fixture(scope="module")
def report() -> Report:
    return complete_report()


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


def test_everything_is_a_file(report: Report) -> None:
    expected = {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg", "pdf", "csv")}
    expected |= {f"{name}.csv" for name in (*TABLES, "tau", "trials")}
    assert set(report.files) == expected | {"report.html", "verdict.md", "tables.tex"}


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


def test_several_sweeps_share_a_page_and_every_row_names_its_own() -> None:
    planted, idle = simulated_sweep(name="planted"), simulated_sweep("null", name="idle")
    report = build_report([planted, idle])
    assert set(report.lines) == {"planted", "idle"}
    for name in ("headline", "tau", "selection"):
        assert set(pd.read_csv(io.BytesIO(report.files[f"{name}.csv"]))["sweep"]) == {"planted", "idle"}
    assert {"gap_against_sharpness_planted.svg", "gap_against_sharpness_idle.svg"} <= set(report.files)
    assert report.note.count("## ") == 2
    with pytest.raises(AnalysisError, match="a name of its own"):
        build_report([planted, planted])
    with pytest.raises(AnalysisError, match="at least one sweep"):
        build_report([])


@pytest.mark.parametrize("count", [0, 1, 5])
def test_sweeps_with_few_trials_have_a_report_that_says_so(count: int) -> None:
    results = simulated_sweep(spectra=True)
    kept = results.table["trial_id"].isin([f"trial{index:03d}" for index in range(count)])
    report = build_report([dataclasses.replace(results, table=results.table[kept])])
    assert PAGE_FILE in report.files
    verdict = report.lines["simulated"][0].text
    assert verdict.startswith("none" if count < 5 else "no measure")


def test_troubled_measures_have_a_report() -> None:
    results = simulated_sweep()
    table = results.table
    value = table["value"].where(table["measure"] != "trace", np.nan).where(table["measure"] != "sam", 1.0)
    troubled = table.assign(value=value, gap_loss=table["gap_loss"].round(2))
    page = build_report([dataclasses.replace(results, table=troubled)]).files[PAGE_FILE].decode()
    assert "no value in any trial: Hessian trace" in page
    assert "the same value in every trial: SAM sharpness" in page
    assert "(ties)" in page


def test_only_one_layer_or_measure_is_enough() -> None:
    results = simulated_sweep()
    for column, kept in (("layer", LAYERS[1]), ("measure", "trace")):
        table = results.table[results.table[column] == kept]
        assert PAGE_FILE in build_report([dataclasses.replace(results, table=table)]).files


def test_the_same_results_give_the_same_page(report: Report) -> None:
    again = complete_report()
    assert again.files[PAGE_FILE] == report.files[PAGE_FILE]


def test_figures_take_the_pages_ink() -> None:
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
