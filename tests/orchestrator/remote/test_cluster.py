"""What `--cluster` says where there is no cluster; what it does where there is one is tested in tests/hosts."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app

CALL = """
import sys
from orchestrator.remote.cluster import Cluster
cluster = Cluster("my cluster.yaml", "me@head", ())
there = cluster.send(sys.argv[1])
sys.exit(cluster.run([*sys.argv[2:], there], typed={there: sys.argv[1]}))
"""
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


def test_relative_paths_are_refused_and_variables_left_to_the_cluster(sweep_file: Callable[..., Path]) -> None:
    path = sweep_file(("name: small", "name: small\nstorage: results"), ("dataset: digits", "dataset: digits, root: d"))
    result = CliRunner().invoke(app, ["run", str(path), "--cluster", "nowhere.yaml"])
    assert result.exit_code == 2
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == ["storage", "data.root"]
    assert result.stderr.count("would begin at another folder on the cluster") == 2
    path = sweep_file(("name: small", "name: small\nstorage: $SCRATCH_OF_THE_CLUSTER/renyi"))
    result = CliRunner().invoke(app, ["run", str(path), "--cluster", "nowhere.yaml"])
    assert result.stderr.startswith("--cluster: nowhere.yaml: ")


def test_a_command_on_the_head_is_told_what_was_typed_here(
    tmp_path: Path, sweep_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a program in place of ssh that runs the command here, after reading the environment as a head would."""
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    (tmp_path / "renyi.env").touch()
    monkeypatch.setenv("PATH", f"{ssh.parent}:{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RENYI_STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("PYTHONPATH", str(LOCAL.parents[1]))
    sweep_file(name="it's.yaml")
    code = "import sys; from orchestrator.config.load import load; print(load(*sys.argv[1:]).typed, file=sys.stderr)"
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", CALL, "it's.yaml", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shlex.split(done.stderr) == ["it's.yaml", "--cluster", "my cluster.yaml"]
