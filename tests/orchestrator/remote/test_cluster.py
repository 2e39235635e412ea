"""What `--cluster` says where there is no cluster; what it does where there is one is tested in tests/hosts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app

LOCAL = Path(__file__).parents[3] / "clusters" / "local.yaml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "can't be read: No such file or directory"),
        ("a: [", "not valid YAML"),
        ("name: digits\n", "not a file of Ray's cluster launcher: it has no `provider`"),
        (LOCAL.read_text().replace("setup_commands:", "setup_comands:"), "setup_comands"),
        (LOCAL.read_text().replace("renyi-local", "renyi-never-started"), "is it up? `ray up "),
    ],
    ids=["missing", "broken", "another", "misspelt", "not up"],
)
@pytest.mark.parametrize("command", ["run", "status", "stop", "preflight", "ui"])
def test_a_cluster_that_can_not_be_had_is_one_line(
    tmp_path: Path, command: str, text: str | None, expected: str
) -> None:
    path = tmp_path / "cluster.yaml"
    if text is not None:
        path.write_text(text)
    result = CliRunner().invoke(app, [command, "digits", "--cluster", str(path)])
    assert result.exit_code == 2, result.output
    assert len(result.stderr.strip().splitlines()) == 1
    assert expected in result.stderr
    assert result.stderr.startswith(f"--cluster: {path}: ")


def test_a_mistake_in_the_sweep_is_reported_before_the_cluster_is_looked_for(sweep_file: Callable[..., Path]) -> None:
    path = sweep_file(("epochs: 2", "epochs: -2"))
    result = CliRunner().invoke(app, ["run", str(path), "--cluster", "nowhere.yaml"])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{path}: training.epochs: ")


@pytest.mark.parametrize("command", ["run", "retry", "remeasure"])
def test_an_executor_is_not_chosen_for_a_cluster(command: str) -> None:
    result = CliRunner().invoke(app, [command, "digits", "--cluster", "nowhere.yaml", "--executor", "inline"])
    assert result.exit_code == 2
    assert result.stderr.startswith("--executor: ")
    assert "leave the option out with --cluster" in result.stderr
    assert len(result.stderr.splitlines()) == 1
