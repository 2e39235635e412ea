"""What end-to-end tests share: a finished sweep, run once a session and copied for each test that starts from one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking._tracking_service import utils
from typer.testing import CliRunner

from orchestrator.cli import app
from tests.conftest import SMALL_SWEEP, made_once
from tests.small_pictures import draw_each_once

DIVERGING = ("[0.05, 0.1]", "[0.05, 1e6]")  # in the small sweep's text: half of its trials diverge


@pytest.fixture(autouse=True)
def quick(one_kind_of_picture: None, young_heap: None, storage_with_database: Path) -> None:
    """In every test."""


def run(folder: Path, text: str, database: Path) -> None:
    """Run a sweep in this process; its file and its storage are put into the folder."""
    (folder / "sweep.yaml").write_text(text)
    storage = folder / "storage"
    storage.mkdir()
    shutil.copy(database, storage)
    with pytest.MonkeyPatch.context() as patch:
        draw_each_once(patch)
        patch.setenv("RENYI_CACHE", str(folder / "cache"))
        patch.setenv("RENYI_STORAGE", str(storage))
        result = CliRunner().invoke(app, ["run", str(folder / "sweep.yaml"), "--executor", "inline"])
    (storage / "output.txt").write_text(result.output)


@pytest.fixture(scope="session")
def small_sweep(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """The storage of the small sweep, all of it measured."""
    return made_once(tmp_path_factory, "small", lambda folder: run(folder, SMALL_SWEEP, empty_database)) / "storage"


@pytest.fixture(scope="session")
def diverged_sweep(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """The storage of the small sweep where two of four trials diverged."""
    text = SMALL_SWEEP.replace(*DIVERGING)
    return made_once(tmp_path_factory, "diverged", lambda folder: run(folder, text, empty_database)) / "storage"


def copy(source: Path, storage: Path) -> None:
    """A copy of a storage: another with the same runs, which MLflow does not expect in one process."""
    shutil.copytree(source, storage, dirs_exist_ok=True)
    utils._artifact_repos_cache.clear()  # folders of artifacts, by run


@pytest.fixture
def finished(storage: Path, sweep_file: Callable[..., Path], small_sweep: Path) -> Path:
    """The small sweep's file; its storage holds all that it asks for."""
    copy(small_sweep, storage)
    return sweep_file()


@pytest.fixture
def half_failed(storage: Path, sweep_file: Callable[..., Path], diverged_sweep: Path) -> Path:
    """The file of a sweep of which two trials are measured and two have failed."""
    copy(diverged_sweep, storage)
    return sweep_file(DIVERGING)
