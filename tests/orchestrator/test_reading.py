"""Commands that read create nothing: neither a database nor a folder, where nothing has been run."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.exit_codes import ExitCode


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["plan"], ExitCode.ALL_MEASURED),
        (["status"], ExitCode.ALL_MEASURED),
        (["status", "--json"], ExitCode.ALL_MEASURED),
        (["report"], ExitCode.BAD_INPUT),
        (["report", "--source", "store"], ExitCode.BAD_INPUT),
        (["ui", "--port", "0"], ExitCode.BAD_INPUT),
    ],
)
@pytest.mark.parametrize("tracking", [None, "sqlite:///own.db"])
def test_nothing_is_there_afterwards(
    storage: Path,
    sweep_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: ExitCode,
    tracking: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep_file()
    name, *options = words
    address = ["--tracking", tracking] if tracking else []
    result = CliRunner().invoke(app, [name, "sweep.yaml", *options, *address])
    assert result.exit_code == code, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sweep.yaml"]
    if code is ExitCode.BAD_INPUT:
        assert "run it first: renyi run sweep.yaml" in result.output
