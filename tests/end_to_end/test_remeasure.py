"""`renyi remeasure` and `renyi retry`: what is there is used, what is asked for is done, nothing else."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.results.parquet import measurements_from_parquet
from analysis.schema import MEASUREMENTS_FILE, Measurement
from orchestrator.cli import app
from orchestrator.config.load import load
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import TrialState
from tests.end_to_end.conftest import DIVERGING
from trainables.trial.folder import TRAINED_FILE

SweepFile = Callable[..., Path]
runner = CliRunner()
NEW_ORDERS = ("orders: [0.5, 1.5]", "orders: [0.5, 0.9, 1.5, 2.0]")


def run(path: Path, command: str, *options: str) -> tuple[int, str]:
    result = runner.invoke(app, [command, str(path), "--executor", "inline", *options], catch_exceptions=False)
    return result.exit_code, result.output


def rows(path: Path) -> dict[str, list[Measurement]]:
    plan = make_plan(load(str(path)))
    return {
        spec.trial_id: measurements_from_parquet(plan.store.measurement(spec.trial_id).read(MEASUREMENTS_FILE))
        for spec in plan.specs
    }


def test_new_orders_come_from_stored_spectra_without_torch(
    finished: Path, sweep_file: SweepFile, empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sweep_file(NEW_ORDERS, name="other.yaml")
    code = f"""
import sys
from pytest import MonkeyPatch
from orchestrator.cli import app
from tests.small_pictures import draw_one_kind
draw_one_kind(MonkeyPatch())
try:
    app(["remeasure", {str(other)!r}])
finally:
    print([name for name in ("torch", "ray") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "4 measured from stored spectra" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
    derived = rows(other)

    one = sweep_file(NEW_ORDERS, ("[0.05, 0.1]", "0.1"), ("[1e-4, 1e-3]", "1e-3"), name="one.yaml")
    afresh = tmp_path / "afresh"
    afresh.mkdir()
    shutil.copy(empty_database, afresh)
    monkeypatch.setenv("RENYI_STORAGE", str(afresh))
    run(one, "run")
    assert rows(one).items() <= derived.items()
    assert len(rows(one)) == 1


def test_other_settings_are_measured_again_and_nothing_is_trained(finished: Path, sweep_file: SweepFile) -> None:
    grown = sweep_file(("samples: 20", "samples: 30"), ("[1e-4, 1e-3]", "[1e-4, 1e-3, 1e-2]"), name="grown.yaml")
    code, output = run(grown, "remeasure")
    assert code == 0, output
    assert "0 measured from stored spectra" in output
    assert "0 trained, 4 measured; 6 trials in all" in output
    assert make_plan(load(str(grown))).counts == {TrialState.MEASURED: 4, TrialState.PENDING: 2}


def test_only_the_trial_that_is_named_is_tried_again(storage: Path, sweep_file: SweepFile, half_failed: Path) -> None:
    path = half_failed
    first, second = (spec.trial_id for spec in make_plan(load(str(path))).failed)
    grown = sweep_file(("[0.05, 0.1]", "[0.05, 0.2, 1e6]"), name="grown.yaml")
    failure = next(storage.rglob(f"{second}/failed.json"))
    written = failure.stat().st_mtime_ns
    code, output = run(grown, "retry", "--trial", first)
    assert code == 1
    assert f"{first} " in output
    assert failure.stat().st_mtime_ns == written
    assert make_plan(load(str(grown))).counts[TrialState.PENDING] == 2  # retrying runs nothing else
    code, output = run(path, "retry", "--trial", "nonsense")
    assert code == 2
    assert f"--trial nonsense: no such trial; failed: {first}, {second}" in output


def test_other_resources_run_nothing_again(storage: Path, finished: Path, sweep_file: SweepFile) -> None:
    written = {file: file.stat().st_mtime_ns for file in storage.rglob(TRAINED_FILE)}
    other = sweep_file(("cpus: 0.75}\n  pool: {actors: 1", "cpus: 2}\n  pool: {actors: 3"), name="other.yaml")
    assert "0 trained, 0 measured; 4 trials in all" in run(other, "run")[1]
    assert {file: file.stat().st_mtime_ns for file in storage.rglob(TRAINED_FILE)} == written


def test_status_says_everything_to_people_and_to_programs(sweep_file: SweepFile, half_failed: Path) -> None:
    never = runner.invoke(app, ["status", str(sweep_file(("name: small", "name: never")))]).output
    assert "4 pending" in never
    assert "never started" in never
    path = sweep_file(DIVERGING)
    told = runner.invoke(app, ["status", str(path), "--watch"]).output  # ends by itself: nothing remains to be done
    assert "ago: 2 trials failed; `renyi run" in told
    assert "2 trained, 0 measuring tasks done, 2 failed" in told
    found = json.loads(runner.invoke(app, ["status", str(path), "--json"]).output)
    assert found["states"] == {"pending": 0, "training": 0, "trained": 0, "measured": 2, "failed": 2}
    assert {failure["stage"] for failure in found["failures"].values()} == {"training"}
    assert found["running"] is False
    assert sum(node["trained"] for node in found["nodes"].values()) == 2
