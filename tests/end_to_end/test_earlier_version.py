"""Stores and SQLite databases of every layout that this package has written: opened, found complete, reported with the
same values, τ and intervals, and continued where something is missing.

Version 0.1 wrote neither seals nor manifests. Version 0.2 wrote both, before measurements had claims.
"""

import shutil
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
FIXTURES = Path(__file__).parents[1] / "fixtures"
LAYOUTS = {"before": "store_of_version_0_1.tar.xz", "kept": "store_of_version_0_2.tar.xz"}  # by the sweep's name


@pytest.fixture(params=list(LAYOUTS))
def name(request: pytest.FixtureRequest) -> str:
    """The sweep of each layout."""
    return str(request.param)


@pytest.fixture
def earlier(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the sweep's file, and the storage of its finished sweep, which lay elsewhere when it was made."""
    with tarfile.open(FIXTURES / LAYOUTS[name]) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.setenv("RENYI_STORAGE", str(tmp_path / "renyi"))
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(earlier: Path, name: str, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, str(earlier / f"{name}.yaml")])
    assert result.exit_code == 0, result.output
    return result.output


def test_nothing_is_done_again_and_the_report_says_the_same(earlier: Path, name: str) -> None:
    report = earlier / "renyi" / name / "report"
    before = {path.name: pd.read_csv(path) for path in report.glob("*.csv")}
    trials = contents(earlier / "renyi" / name / "trials")
    assert {"tau.csv", "headline.csv", "differences.csv", "selection.csv", "training.csv"} <= set(before)
    assert "0 trained, 0 measured" in run(earlier, name, "run", "--executor", "inline")
    assert contents(earlier / "renyi" / name / "trials") == trials
    redefined = REDEFINED if name == "before" else {}
    for file, table in before.items():
        expected = table.drop(columns=redefined.get(file, []))
        now = pd.read_csv(report / file)[list(expected)].head(len(expected))  # clusters.csv has a row of sums since
        pd.testing.assert_frame_equal(now, expected, check_exact=False, rtol=1e-9)


def test_what_is_missing_is_made_and_all_is_whole_afterwards(earlier: Path, name: str) -> None:
    trials = sorted((earlier / "renyi" / name / "trials").iterdir())
    (measurement,) = (trials[0] / "measurements").iterdir()
    values = pd.read_parquet(measurement / "measurements.parquet")
    shutil.rmtree(measurement)
    assert "0 trained, 1 measured" in run(earlier, name, "run", "--executor", "inline")
    again = pd.read_parquet(measurement / "measurements.parquet")
    pd.testing.assert_frame_equal(again, values, check_exact=False, rtol=1e-4)
    assert "none is damaged" in run(earlier, name, "verify")
