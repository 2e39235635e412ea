"""The site of the documents, built, and opened as files in a real browser: no warning, no request, a search."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from check_links import problems_of
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from tests.system.browser import open_browser

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("site")]

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with warnings as errors."""
    if find_spec("mkdocs") is None:
        pytest.skip("NO MKDOCS: install the extra `docs` for the test of the site")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    with open_browser() as browser:
        yield browser


def test_every_link_leads_somewhere(site: Path) -> None:
    assert problems_of(site) == []


def test_pages_opened_as_files_ask_nobody_and_can_be_searched(site: Path, browser: WebDriver) -> None:
    for page in ("index.html", "reference.html", "source/examples/own_model.html"):
        browser.get((site / page).as_uri())
    browser.find_element(By.CSS_SELECTOR, "[data-md-component=search-query]").send_keys("heartbeat")
    found = "[data-md-component=search-result] a[href*='what_survives_what']"
    WebDriverWait(browser, 30).until(lambda browser: browser.find_elements(By.CSS_SELECTOR, found))
    assert browser.get_log("browser") == []  # type: ignore[attr-defined]
    log = browser.get_log("performance")  # type: ignore[attr-defined]
    events = [json.loads(entry["message"])["message"] for entry in log]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert asked
    assert all(url.startswith(("file://", "data:", "about:")) for url in asked)


def test_docstrings_are_read(site: Path) -> None:
    page = (site / "reference.html").read_text()
    assert "Rényi Sharpness, eq. 4" in page  # of renyi_entropy
    for name in ("renyi.measure", "renyi.RSAM", "renyi.judge"):
        assert name in page
