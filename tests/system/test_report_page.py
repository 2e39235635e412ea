"""What a person sees of a report, in a real browser, without a network."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from analysis.report.report import Report, build_report
from tests.analysis.simulated import simulated_sweep
from tests.system.browser import open_browser

pytestmark = pytest.mark.system

FIGURES = ("tau_by_measure", "tau_over_orders", "gap_against_sharpness", "spectra")


@pytest.fixture(scope="module")
def report() -> Report:
    return build_report([simulated_sweep(spectra=True)], ["renyi run simulated", "renyi report simulated"])


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: WebDriver, report: Report, tmp_path: Path) -> WebDriver:
    path = tmp_path / "report.html"
    path.write_bytes(report.files["report.html"])
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # type: ignore[attr-defined]  # forget what earlier tests did
    browser.get(path.as_uri())
    return browser


def theme(browser: WebDriver, name: str) -> None:
    features = {"features": [{"name": "prefers-color-scheme", "value": name}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)


def column(page: WebDriver, table: str, index: int) -> list[str]:
    cells = page.find_elements(By.CSS_SELECTOR, f"#{table} tbody tr td:nth-child({index})")
    return [cell.get_attribute("data-key") or "" for cell in cells]


def test_it_loads_without_a_request_and_without_a_complaint(page: WebDriver) -> None:
    for details in page.find_elements(By.CSS_SELECTOR, "details"):
        page.execute_script("arguments[0].open = true", details)
    messages: list[dict[str, Any]] = page.get_log("browser")  # type: ignore[attr-defined]
    assert messages == []
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]  # type: ignore[attr-defined]
    requested = [
        event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
    ]
    assert requested
    assert all(url.startswith(("file://", "data:")) for url in requested)


def test_the_verdict_is_what_is_seen_first(page: WebDriver, report: Report) -> None:
    verdict = page.find_element(By.CSS_SELECTOR, "#verdict")
    assert verdict.location["y"] < 400
    for line in report.lines["simulated"]:
        assert line.text in verdict.text


def test_every_figure_is_drawn_and_has_a_caption(page: WebDriver) -> None:
    for name in FIGURES:
        figure = page.find_element(By.ID, name)
        picture = figure.find_element(By.CSS_SELECTOR, "svg")
        assert picture.size["width"] > 300
        assert picture.size["height"] > 100
        assert len(picture.find_elements(By.CSS_SELECTOR, "path, use")) > 20
        assert len(figure.find_element(By.CSS_SELECTOR, "figcaption").text) > 100


def test_no_words_of_a_figure_lie_over_others(page: WebDriver) -> None:
    script = """
    const texts = [...document.querySelectorAll(`#${arguments[0]} svg text`)];
    const boxes = texts.map((text) => text.getBoundingClientRect());
    const clash = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
    return boxes.flatMap((box, i) => boxes.slice(0, i).filter((other) => clash(box, other))).length;
    """
    for name in FIGURES:
        assert page.execute_script(script, name) == 0, name


def test_tables_sort_by_number_and_by_word(page: WebDriver) -> None:
    head = page.find_elements(By.CSS_SELECTOR, "#headline th")
    buttons = {cell.text: cell.find_element(By.TAG_NAME, "button") for cell in head}
    index = [cell.text for cell in head].index("τ") + 1
    before = column(page, "headline", index)
    buttons["τ"].click()
    values = [float(key) for key in column(page, "headline", index)]
    assert values == sorted(values, reverse=True)
    buttons["τ"].click()
    values = [float(key) for key in column(page, "headline", index)]
    assert values == sorted(values)
    assert head[index - 1].get_attribute("aria-sort") == "ascending"
    buttons["measure"].click()
    words = column(page, "headline", 1)
    assert words == sorted(words, key=str.lower)
    assert sorted(column(page, "headline", index)) == sorted(before)


def test_what_is_missing_sorts_last_either_way(page: WebDriver) -> None:
    button = page.find_elements(By.CSS_SELECTOR, "#headline th button")[1]
    for _ in range(2):
        button.click()
        keys = column(page, "headline", 2)
        assert "inf" in keys
        assert keys.index("inf") == len(keys) - keys.count("inf")


def test_numbers_of_a_figure_open_and_can_be_saved(page: WebDriver, report: Report) -> None:
    details = page.find_element(By.CSS_SELECTOR, "#tau_over_orders details")
    details.find_element(By.TAG_NAME, "summary").click()
    # The rows are made when the browser tells the page that the details are open, which is a little later.
    WebDriverWait(page, 30).until(lambda _: details.find_elements(By.CSS_SELECTOR, "tbody tr"))
    rows = details.find_elements(By.CSS_SELECTOR, "tbody tr")
    assert len(rows) == report.files["tau_over_orders.csv"].decode().count("\n") - 1
    assert details.find_element(By.TAG_NAME, "button").text == "Save as CSV"
    assert re.match(r"simulated renyi 0\.5 conv\.weight", rows[0].text)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_and_figures_stand_out_in_either_theme(page: WebDriver, name: str) -> None:
    theme(page, name)
    script = """
    const style = getComputedStyle(arguments[0]);
    const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
    const light = ([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b;
    return [light(rgb(getComputedStyle(document.body).backgroundColor)), light(rgb(style[arguments[1]]))];
    """
    for selector, attribute in (("p", "color"), ("td", "color"), ("figure svg text", "fill"), ("a", "color")):
        ground, ink = page.execute_script(script, page.find_element(By.CSS_SELECTOR, selector), attribute)
        assert (ground > 200) == (name == "light")
        assert abs(ground - ink) > 80, selector


@pytest.mark.parametrize("width", [500, 1000, 1600])
def test_nothing_runs_off_the_page(page: WebDriver, width: int) -> None:
    page.set_window_size(width, 1000)
    assert not page.execute_script("return document.documentElement.scrollWidth > window.innerWidth")
    page.set_window_size(1600, 1200)
