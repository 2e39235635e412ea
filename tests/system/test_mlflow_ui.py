"""What a person sees in the MLflow UI, in a real browser."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from tests.conftest import SMALL_SWEEP
from tests.system.browser import open_browser

pytestmark = pytest.mark.system

PATIENCE = 90


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sweep that has been run, its results in the folder beside the file."""
    folder = tmp_path_factory.mktemp("ui")
    path = folder / "sweep.yaml"
    path.write_text(SMALL_SWEEP + f"storage: {folder}/storage\n")
    command = [sys.executable, "-m", "orchestrator.cli", "run", str(path), "--executor", "inline"]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    return path


@pytest.fixture(scope="module")
def page(sweep: Path) -> Iterator[str]:
    """The address that `renyi ui` prints, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "orchestrator.cli", "ui", str(sweep), "--port", str(port)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment)
    assert server.stdout is not None
    address = next(line for line in server.stdout if line.startswith("MLflow: ")).split()[1]
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(address.partition("#")[0], timeout=5)
            break
        except OSError:
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.5)
    yield address
    os.killpg(server.pid, 15)
    server.wait(timeout=30)


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    with open_browser() as browser:
        yield browser


def wait_for_text(browser: WebDriver, *texts: str) -> None:
    def shown(driver: WebDriver) -> bool:
        body = driver.find_element(By.TAG_NAME, "body").text
        return all(text in body for text in texts)

    WebDriverWait(browser, PATIENCE).until(shown, message=f"the page never showed {texts}")


def runs(sweep: Path) -> tuple[str, str]:
    """Ids of the parent run and of one trial's."""
    client = MlflowClient(f"sqlite:///{sweep.parent}/storage/mlflow.db")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    kinds = {run.data.tags["renyi.kind"]: run.info.run_id for run in found}
    return kinds["sweep"], kinds["trial"]


def run_page(page: str, run_id: str, tab: str = "") -> str:
    return page.replace("/runs?", f"/runs/{run_id}{tab}?")


def test_the_page_opens_on_the_trials_those_with_the_largest_gap_first_and_the_columns_that_matter(
    browser: WebDriver, page: str, sweep: Path
) -> None:
    browser.get(page)
    wait_for_text(browser, "4 matching runs", "gap_loss", "test_accuracy", "renyi_0.5/all")  # others: to the right
    assert "sweep small" not in browser.find_element(By.CSS_SELECTOR, ".ag-root").text
    client = MlflowClient(f"sqlite:///{sweep.parent}/storage/mlflow.db")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    trials = client.search_runs([experiment.experiment_id], "tags.`renyi.kind` = 'trial'")
    expected = sorted(trials, key=lambda run: -run.data.metrics["generalization/gap_loss"])
    links = """return [...document.querySelectorAll(".ag-root a[href*='/runs/']")]
        .sort((one, other) => one.getBoundingClientRect().top - other.getBoundingClientRect().top)
        .map(link => link.href.split("/runs/")[1].slice(0, 32))"""

    def listed(driver: WebDriver) -> bool:
        return list(dict.fromkeys(driver.execute_script(links))) == [run.info.run_id for run in expected]

    WebDriverWait(browser, PATIENCE).until(listed)


def test_the_parent_run_has_settings_tau_and_the_sweep_file(browser: WebDriver, page: str, sweep: Path) -> None:
    parent, _ = runs(sweep)
    browser.get(run_page(page, parent))
    wait_for_text(browser, "sharpness.samples", "grid.0", "tau/renyi_0.5/all")
    browser.get(run_page(page, parent, "/artifacts/sweep.yaml"))
    wait_for_text(browser, "learning_rate: [0.05, 0.1]")


def test_a_trials_table_and_spectra_are_shown(browser: WebDriver, page: str, sweep: Path) -> None:
    _, trial = runs(sweep)
    browser.get(run_page(page, trial, "/artifacts/measurements.csv"))
    wait_for_text(browser, "measure", "renyi_gauss_newton", "classifier.weight")
    browser.get("about:blank")  # from one file to the next, MLflow's page stays at the first
    browser.get(run_page(page, trial, "/artifacts/spectrum.png"))
    loaded = "return [...document.images].some(image => image.naturalWidth == 720)"
    WebDriverWait(browser, PATIENCE).until(lambda driver: driver.execute_script(loaded))


def test_the_parent_run_lists_its_trials_by_readable_names(browser: WebDriver, page: str, sweep: Path) -> None:
    parent, _ = runs(sweep)
    browser.get(run_page(page, parent))
    wait_for_text(browser, "sweep small", "sgd lr=0.05 bs=64 wd=0.001 seed=0", "sgd lr=0.1 bs=64 wd=0.0001 seed=0")


def test_a_trial_shows_parameters_and_headline_measures(browser: WebDriver, page: str, sweep: Path) -> None:
    _, trial = runs(sweep)
    browser.get(run_page(page, trial))
    wait_for_text(browser, "weight_decay", "learning_rate", "renyi_0.5/all", "generalization/gap_loss")


def test_a_trial_draws_its_loss_curves(browser: WebDriver, page: str, sweep: Path) -> None:
    _, trial = runs(sweep)
    browser.get(run_page(page, trial, "/model-metrics"))
    wait_for_text(browser, "generalization", "gap_loss")
    WebDriverWait(browser, PATIENCE).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, ".js-plotly-plot"))
    search = browser.find_element(By.CSS_SELECTOR, "input[placeholder='Search metric charts']")
    search.send_keys("training/train_loss")
    WebDriverWait(browser, PATIENCE).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, ".scatterlayer .trace"))


def test_the_figure_is_shown_as_a_picture(browser: WebDriver, page: str, sweep: Path) -> None:
    parent, _ = runs(sweep)
    browser.get(run_page(page, parent, "/artifacts/gap_against_sharpness.png"))
    loaded = "return [...document.images].some(image => image.naturalWidth > 1000)"
    WebDriverWait(browser, PATIENCE).until(lambda driver: driver.execute_script(loaded))
