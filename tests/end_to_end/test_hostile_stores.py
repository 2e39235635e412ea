"""Stores of somebody else: whatever they hold, commands end with a message, run nothing, and write nowhere else."""

import random
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from tests.conftest import SMALL_SWEEP
from tests.hostile import MARK, MODULE, attack

STORES = 12  # `benchmarks/hostile.py` draws more


def commands(file: Path, folder: Path) -> list[list[str]]:
    """What people do with a store that was sent to them."""
    checkpoint = next(iter(sorted(folder.glob("trials/*/last.pt"))), folder / "last.pt")
    trial = next((path.name for path in sorted(folder.glob("trials/*"))), "x")
    return [
        ["status", str(file)],
        ["verify", str(folder)],
        ["report", str(file), "--source", "store", "--output", str(file.parent / "report")],
        ["lineage", str(folder), trial],
        ["diff", str(folder), str(folder)],
        ["list", "--storage", str(folder.parent)],
        ["measure", str(checkpoint), "--samples", "5", "--measures", "l2"],
    ]


def entries(home: Path) -> set[str]:
    """What is in a home, without the report and what matplotlib keeps."""
    return {path.name for path in home.iterdir()} - {"report", ".cache", ".config"}


def check(sent: Path, home: Path, seed: int) -> list[str]:
    """Attack a copy of a storage, give every command, and tell what went wrong."""
    draw = random.Random(seed)
    shutil.rmtree(home / "sent", ignore_errors=True)
    shutil.copytree(sent, home / "sent")
    done = [attack(home / "sent" / "small", draw) for _ in range(draw.choice([1, 1, 2]))]
    before = entries(home)
    problems = []
    for words in commands(home / "sweep.yaml", home / "sent" / "small"):
        result = CliRunner().invoke(app, words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            problems.append(f"{words[0]}: {type(result.exception).__name__}: {result.exception!a:.200}")
        elif result.exit_code not in (0, 1, 2):
            problems.append(f"{words[0]}: exit code {result.exit_code}")
        if not all(each.isprintable() or each == "\n" for each in result.output):
            problems.append(f"{words[0]}: prints control characters")
    if (home / MARK).exists():
        problems.append("something was executed")
    if entries(home) != before:
        problems.append(f"written: {[path.name for path in home.iterdir()]}")
    shutil.rmtree(home / "report", ignore_errors=True)
    return [f"seed {seed}, {'; '.join(done)}: {problem}" for problem in problems]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home and current folder, with the sweep file, and a module that tells when it is run."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / f"{MODULE}.py").write_text(f"import pathlib\npathlib.Path({str(folder / MARK)!r}).touch()\n")
    (folder / "sweep.yaml").write_text(SMALL_SWEEP)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("RENYI_STORAGE", str(folder / "sent"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_no_store_is_obeyed(small_sweep: Path, home: Path) -> None:
    problems = [problem for seed in range(STORES) for problem in check(small_sweep, home, seed)]
    assert not problems, "\n".join(problems)
