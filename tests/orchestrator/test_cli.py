import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app

HEAVY = ("torch", "ray", "mlflow", "pandas", "matplotlib")
COMMANDS = tuple(command.name or command.callback.__name__ for command in app.registered_commands if command.callback)

runner = CliRunner()


@pytest.mark.parametrize("arguments", [["--help"], ["sweeps"], ["plan", "digits"], ["status", "digits"]])
def test_what_must_answer_at_once_imports_nothing_heavy(storage: Path, arguments: list[str]) -> None:
    code = f"""
import json, sys
from orchestrator.cli import app
try:
    app({arguments!r})
finally:
    print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr.splitlines()[-1]) == []
    assert done.stdout


def test_help_lists_every_command_and_each_has_an_example() -> None:
    overview = runner.invoke(app, ["--help"]).output
    assert {"run", "retry", "remeasure", "report"} <= set(COMMANDS)
    for command in COMMANDS:
        assert command in overview
        assert "Example" in runner.invoke(app, [command, "--help"]).output


def test_plan_shows_the_grid_and_runs_nothing(storage: Path) -> None:
    result = runner.invoke(app, ["plan", "digits"])
    assert result.exit_code == 0
    assert "30 trials" in result.output
    assert "30 pending" in result.output
    assert not storage.exists()


def test_bad_input_ends_with_code_2_and_no_traceback(storage: Path, sweep_file: Callable[..., Path]) -> None:
    path = sweep_file(("epochs: 2", "epohcs: 2"), ("samples: 20", "samples: none"))
    for command in ("plan", "run", "status", "retry", "remeasure", "report", "ui", "preflight"):
        result = runner.invoke(app, [command, str(path)])
        assert result.exit_code == 2
        assert f"{path}: training.epohcs: unknown key; did you mean epochs?" in result.output
        assert f"{path}: sharpness.samples: " in result.output
        assert "Traceback" not in result.output
