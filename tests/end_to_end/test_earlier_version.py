"""A store and a SQLite database that version 0.1 wrote: opened, found complete, and reported with the same numbers."""

import tarfile
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from orchestrator.cli import app

FIXTURE = Path(__file__).parents[1] / "fixtures" / "store_of_version_0_1.tar.xz"


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the sweep's file, and the storage of its finished sweep, which lay elsewhere when it was made."""
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.setenv("RENYI_STORAGE", str(tmp_path / "renyi"))
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_done_again_and_the_report_says_the_same(earlier: Path) -> None:
    report = earlier / "renyi" / "before" / "report"
    before = {path.name: pd.read_csv(path) for path in report.glob("*.csv")}
    trials = contents(earlier / "renyi" / "before" / "trials")
    assert {"tau.csv", "headline.csv", "differences.csv", "selection.csv", "training.csv", "axes.csv"} <= set(before)
    result = CliRunner().invoke(app, ["run", str(earlier / "before.yaml"), "--executor", "inline"])
    assert result.exit_code == 0, result.output
    assert "0 trained, 0 measured" in result.output
    assert contents(earlier / "renyi" / "before" / "trials") == trials
    for name, table in before.items():
        pd.testing.assert_frame_equal(pd.read_csv(report / name), table, check_exact=False, rtol=1e-9)
