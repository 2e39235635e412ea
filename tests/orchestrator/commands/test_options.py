"""Shell completion, and the options of `renyi` itself."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.options import complete_sweep
from orchestrator.config.load import shipped_sweeps
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.trial_store import TrialStore
from tests.orchestrator.made_up import fail
from trainables.trial.specs import TrialSpec


def completions(line: str) -> set[str]:
    """What bash would offer for the last word of a command line."""
    environment = {
        **os.environ,
        "_RENYI_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    code = "from orchestrator.cli import app; app(prog_name='renyi')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    return set(done.stdout.split())


def test_commands_and_shipped_sweeps_are_completed() -> None:
    assert completions("renyi re") == {"retry", "remeasure", "report"}
    assert completions("renyi run digi") == {name for name in shipped_sweeps() if name.startswith("digi")}
    assert complete_sweep("") == shipped_sweeps()
    assert complete_sweep("my_own") == []  # and the shell goes on with the names of files


def test_failed_trials_are_completed_from_the_sweeps_store(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, tmp_path: Path
) -> None:
    for spec in specs[:2]:
        fail(store, spec)
    assert completions(f"renyi retry {tmp_path}/sweep.yaml --trial ") == {spec.trial_id for spec in specs[:2]}
    assert completions(f"renyi retry {tmp_path}/missing.yaml --trial ") == set()


def test_the_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"renyi {version('renyi-sharpness')}\n")


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion"])
def test_completion_is_offered(option: str) -> None:
    assert option in CliRunner().invoke(app, ["--help"]).output
