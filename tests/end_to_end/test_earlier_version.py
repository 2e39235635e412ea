"""A store and a SQLite database that version 0.1 wrote: opened, found complete, and reported with the same
values, τ and intervals."""

import tarfile
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from orchestrator.cli import app

# What is computed by another rule since: p-values by relabeling axes, choices outside both configurations, partial τ.
REDEFINED = {
    "headline.csv": ["p_value", "p_adjusted"],
    "tau.csv": ["p_value", "p_adjusted"],
    "selection.csv": ["nested_tau", "ci_low", "ci_high", "p_value"],
    "training.csv": ["normal_partial_tau", "ci_low", "ci_high", "partial_tau"],
}
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
        expected = table.drop(columns=REDEFINED.get(name, []))
        now = pd.read_csv(report / name)[list(expected)].head(len(expected))  # clusters.csv has a row of sums since
        pd.testing.assert_frame_equal(now, expected, check_exact=False, rtol=1e-9)
