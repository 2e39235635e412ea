"""What a person sees of a report, in a real browser, without a network."""

import base64
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from analysis.report.evidence import gather
from analysis.report.report import Report, build_report
from analysis.report.wording import signed
from analysis.results.sweep import SweepResults
from analysis.statistics import kendall_tau
from tests.analysis.report.page.study import STUDY
from tests.analysis.simulated import simulated_sweep
from tests.system.browser import open_browser

pytestmark = pytest.mark.system

AXE = Path(__file__).parent / "axe" / "axe.min.js"
FIGURES = ("tau_by_measure", "tau_over_orders", "gap_against_sharpness", "spectra")


@pytest.fixture(scope="module")
def results() -> SweepResults:
    runs = {f"trial{index:03d}": f"#/experiments/1/runs/{index}" for index in range(30)}
    return dataclasses.replace(simulated_sweep(spectra=True), study=STUDY, runs=runs)


@pytest.fixture(scope="module")
def report(results: SweepResults) -> Report:
    return build_report([results], ["renyi run simulated", "renyi report simulated"])


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
    cells = page.find_elements(By.CSS_SELECTOR, f"#{table} tbody tr :nth-child({index})")
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


def test_the_answers_are_what_is_seen_first(page: WebDriver, report: Report) -> None:
    verdict = page.find_element(By.CSS_SELECTOR, "#answers")
    assert verdict.location["y"] < 400
    signs = [sign.text for sign in verdict.find_elements(By.CSS_SELECTOR, ".sign")]
    assert len(signs) == 5
    assert set(signs) <= {"yes", "no", "not resolved"}
    verdict.find_element(By.TAG_NAME, "summary").click()
    for line in report.lines["simulated"]:
        assert line.text in verdict.text


def test_every_figure_is_drawn_and_has_a_caption(page: WebDriver) -> None:
    page.find_element(By.CSS_SELECTOR, ".explored summary").click()  # for print; the explorer shows the same
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
    page.find_element(By.CSS_SELECTOR, ".explored summary").click()
    for name in FIGURES:
        assert page.execute_script(script, name) == 0, name


def test_a_cell_of_the_overview_says_its_interval(page: WebDriver) -> None:
    cell = page.find_element(By.CSS_SELECTOR, "#heat_map td b")
    cell.click()
    said = page.find_element(By.CSS_SELECTOR, "#heat_map .said").text
    assert cell.text in said
    assert "adjusted p" in said


def test_tables_sort_by_number_and_by_word(page: WebDriver) -> None:
    head = page.find_elements(By.CSS_SELECTOR, "#headline thead th")
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
    button = page.find_elements(By.CSS_SELECTOR, "#headline thead th button")[1]
    for _ in range(2):
        button.click()
        keys = column(page, "headline", 2)
        assert "inf" in keys
        assert keys.index("inf") == len(keys) - keys.count("inf")


def test_numbers_of_a_figure_open_and_can_be_saved(page: WebDriver, report: Report) -> None:
    details = page.find_element(By.CSS_SELECTOR, "#tau_over_orders details.numbers")
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


@pytest.mark.parametrize("width", [390, 1000, 1600])
def test_nothing_runs_off_the_page_and_text_stays_legible(page: WebDriver, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for details in page.find_elements(By.CSS_SELECTOR, "details"):
        page.execute_script("arguments[0].open = true", details)
    assert not page.execute_script("return document.documentElement.scrollWidth > window.innerWidth")
    smallest = """
    return Math.min(...[...document.querySelectorAll("main svg text, main td, main p")]
        .filter((each) => each.textContent.trim() && each.getBoundingClientRect().height)
        .map((each) => [parseFloat(getComputedStyle(each).fontSize), each.getCTM ? each.getScreenCTM() : {a: 1, b: 0}])
        .map(([size, scale]) => size * Math.hypot(scale.a, scale.b)));
    """
    assert page.execute_script(smallest) >= 8.5  # pixels
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("name", ["light", "dark"])
def test_axe_finds_nothing(page: WebDriver, name: str) -> None:
    theme(page, name)
    for details in page.find_elements(By.CSS_SELECTOR, "details"):
        page.execute_script("arguments[0].open = true", details)
    page.set_script_timeout(180)
    page.execute_cdp_cmd("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8")})
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] if name == "light" else ["color-contrast"]
    found = page.execute_async_script(
        "const [rules, done] = arguments; axe.run({runOnly: rules}).then((result) =>"
        " done(result.violations.map((one) => [one.id, one.nodes.map((node) => node.html)])));",
        rules,
    )
    assert found == []


def test_tau_of_any_selection_is_that_of_the_library(page: WebDriver, results: SweepResults) -> None:
    matrix = gather(results).matrix
    columns = np.flatnonzero(matrix.headline)
    script = "explorers[0].choose(arguments[0]); return explorers[0].taus()"
    rng = np.random.default_rng(0)
    for _ in range(20):
        chosen = np.sort(rng.choice(matrix.n, rng.integers(2, matrix.n + 1), replace=False))
        for found, column in zip(page.execute_script(script, chosen.tolist()), columns, strict=True):
            expected = kendall_tau(matrix.values[chosen, column], matrix.gap[chosen])
            assert found["n"] == expected.n
            assert found["tau"] == pytest.approx(expected.tau_b, abs=1e-12)


def test_tau_with_ties_and_missing_values_is_that_of_the_library(page: WebDriver) -> None:
    rng = np.random.default_rng(1)
    for size in (2, 5, 40):
        x, y = rng.integers(0, 4, size).astype(float), rng.integers(0, 6, size).astype(float)
        x[rng.random(size) < 0.2] = np.nan
        values = [[None if np.isnan(value) else value for value in each] for each in (x, y)]
        found = page.execute_script("return kendallTau(...arguments)", *values, list(range(size)))
        expected = kendall_tau(x, y)
        assert found["n"] == expected.n
        assert found["tau"] == (None if np.isnan(expected.tau_b) else pytest.approx(expected.tau_b, abs=1e-12))


def test_a_filter_reaches_every_part(page: WebDriver, results: SweepResults) -> None:
    root = page.find_element(By.ID, "explorer-root")
    box = root.find_element(By.XPATH, ".//fieldset[legend='optimizer']//label[contains(., 'adam')]/input")
    box.send_keys(Keys.SPACE)
    assert root.find_element(By.CSS_SELECTOR, ".status").text == "15 of 30 trials are selected."
    for selector in (".panel svg", ".parallel svg"):
        part = root.find_element(By.CSS_SELECTOR, selector)
        assert len(part.find_elements(By.CSS_SELECTOR, ".off")) == 15
    matrix = gather(results).matrix
    column = matrix.column("renyi", 1.5, "fc.weight")
    sgd = (matrix.trials["optimizer"] == "sgd").to_numpy()
    tau = kendall_tau(matrix.values[sgd, column], matrix.gap[sgd]).tau_b
    assert f"τ = {signed(tau)} of 15 trials; of all +0.63" in root.find_element(By.CSS_SELECTOR, ".tau").text
    for summary in root.find_elements(By.TAG_NAME, "summary"):
        summary.send_keys(Keys.ENTER)
    rows = root.find_elements(By.XPATH, ".//details[2]//tbody/tr[not(@hidden)]")
    assert len(rows) == 15
    WebDriverWait(page, 30).until(
        lambda _: root.find_element(By.CSS_SELECTOR, ".one").get_attribute("data-settled") == "15"
    )
    selected = {
        (row.find_elements(By.XPATH, "*")[0].text, row.find_elements(By.XPATH, "*")[1].text): row
        for row in root.find_elements(By.XPATH, ".//details[1]//tbody/tr")
    }["Rényi sharpness α = 1.5", "fc"].find_elements(By.XPATH, "*")[3]
    assert float(selected.get_attribute("data-key") or "") == pytest.approx(tau, abs=1e-12)


def test_keys_alone_meet_a_trial_and_select_it(page: WebDriver) -> None:
    root = page.find_element(By.ID, "explorer-root")
    panel = root.find_element(By.CSS_SELECTOR, ".panel svg")
    panel.send_keys(Keys.ARROW_RIGHT)
    card = root.find_element(By.CSS_SELECTOR, ".card")
    first = card.text
    for text in ("weight decay", "training loss", "gap", "its run in MLflow"):
        assert text in first
    panel.send_keys(Keys.ARROW_RIGHT)
    assert card.text != first
    panel.send_keys(Keys.SPACE)
    assert root.find_element(By.CSS_SELECTOR, ".status").text == "1 of 30 trials are selected."
    panel.send_keys(Keys.ESCAPE)
    assert root.find_element(By.CSS_SELECTOR, ".status").text == "All 30 trials are selected."


def test_points_are_met_and_brushed_by_pointer(page: WebDriver) -> None:
    root = page.find_element(By.ID, "explorer-root")
    panel = root.find_element(By.CSS_SELECTOR, ".panel svg")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", panel)
    point = panel.find_element(By.CSS_SELECTOR, ".point")
    ActionChains(page).move_to_element(point).perform()
    assert "No trial yet" not in root.find_element(By.CSS_SELECTOR, ".card").text
    width, height = panel.size["width"], panel.size["height"]
    actions = ActionChains(page).move_to_element_with_offset(panel, -width // 2 + 5, -height // 2 + 5).click_and_hold()
    actions.move_to_element_with_offset(panel, 0, height // 2 - 5).release().perform()
    chosen = page.execute_script("return explorers[0].chosenTrials()")
    assert 0 < len(chosen) < 30
    others = root.find_elements(By.CSS_SELECTOR, ".panel svg")[1]
    assert len(others.find_elements(By.CSS_SELECTOR, ".off")) == 30 - len(chosen)


def test_every_explanation_and_filter_is_reached_by_the_keyboard(page: WebDriver) -> None:
    script = """
    const hidden = (element) => element.tabIndex < 0 || element.disabled;
    return [...document.querySelectorAll("summary, button, select, input, a, .card a")].filter(hidden).length;
    """
    assert page.execute_script(script) == 0
    legend = page.find_element(By.CSS_SELECTOR, "#headline details.legend")
    legend.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
    assert "Kendall's τ_b with the generalization gap" in legend.text


def test_it_prints_on_at_most_six_pages(page: WebDriver) -> None:
    printed = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert 1 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") <= 6


def test_without_its_script_it_is_a_page_of_text_tables_and_pictures(page: WebDriver) -> None:
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    page.refresh()
    try:
        text = page.find_element(By.TAG_NAME, "body").text
        assert "This part needs the page's own script" in text
        assert page.find_element(By.CSS_SELECTOR, "#gap_against_sharpness svg").size["width"] > 300
        assert "Is a measure associated with the gap?" in text
    finally:
        page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
