"""A headless browser for the system tests."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webdriver import WebDriver

QUIET = ("background-networking", "component-update", "sync", "gpu", "quic")
FLAGS = ("--headless=new", "--no-sandbox", "--no-first-run", "--window-size=1600,1200")


@contextmanager
def open_browser() -> Iterator[WebDriver]:
    """Debian's Chromium; a machine without it skips the test, and says so."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("NO BROWSER: install Debian's chromium and chromium-driver for the tests of pages")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, *(f"--disable-{name}" for name in QUIET)):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield browser
    finally:
        browser.quit()
