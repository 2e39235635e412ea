"""Parts of a sweep that really run, in this process: `--only`, `--limit`, `--fail-fast`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.config.load import load
from orchestrator.store.plan import make_plan
from tests.conftest import ONE_LAYER
from tests.orchestrator.made_up import ONE_MEASURE

pytestmark = pytest.mark.usefixtures("one_kind_of_picture", "storage_with_database")

DIVERGES = ("learning_rate: [0.05, 0.1]", "learning_rate: [0.05, 1e30]")
SHORT = ("epochs: 2", "epochs: 1")
LARGE_BATCH = ("batch_size: 64", "batch_size: 512")


@pytest.fixture
def path(sweep_file: Callable[..., Path]) -> Path:
    return sweep_file(ONE_MEASURE, ONE_LAYER, DIVERGES, SHORT, LARGE_BATCH)


def renyi(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


def states(path: Path) -> list[str]:
    """Of the trials with lr, wd = .05, 1e-4; .05, 1e-3; 1e30, 1e-4; 1e30, 1e-3."""
    return [state.value for state in make_plan(load(str(path))).states.values()]


def test_parts_run_one_after_the_other(path: Path) -> None:
    inline = ("run", path, "--executor", "inline", "--no-rehearsal")
    code, output = renyi(*inline, "--only", "learning_rate>0.05", "--fail-fast")
    assert code == 1
    assert "stopped at the first failure: 0/4 trials are measured" in output
    assert "DivergedError" in output
    assert states(path) == ["pending", "pending", "failed", "pending"]
    code, output = renyi(*inline, "--only", "learning_rate<1", "--limit", "1")
    assert code == 0, output  # the failure is not among them
    assert "small: 1 of 4 trials" in output
    assert states(path) == ["measured", "pending", "failed", "pending"]


def test_plan_shows_the_part_that_run_would_work_on(path: Path) -> None:
    code, output = renyi("plan", path, "--only", "learning_rate<1", "--limit", "1")
    assert code == 0
    assert "small: 1 of 4 trials" in output
    assert "1 pending" in output


@pytest.mark.parametrize("command", ["plan", "run", "retry", "remeasure", "report"])
def test_an_unknown_parameter_is_refused_before_anything_starts(path: Path, command: str, storage: Path) -> None:
    code, output = renyi(command, path, "--only", "optimizr=sgd")
    assert code == 2
    assert "--only: no trial has a parameter 'optimizr'; did you mean optimizer?" in output
    assert [entry.name for entry in storage.iterdir()] == ["mlflow.db"]
