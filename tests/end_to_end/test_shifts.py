"""A shift that is asked for after the sweep is done: stored checkpoints are evaluated, logged and ranked."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from typer.testing import CliRunner

from analysis.results.mlflow import load_sweep
from orchestrator.cli import app
from orchestrator.config.load import load
from orchestrator.store.plan import make_plan
from orchestrator.store.results import stored_sweep
from orchestrator.store.trial_store import MEASURED_FILE
from tests.orchestrator.tracking.recorded import trial_runs
from trainables.trial.folder import FAILED_FILE, LAST_CHECKPOINT, TRAINED_FILE

SweepFile = Callable[..., Path]
runner = CliRunner()


def renyi(*arguments: str | Path) -> tuple[int, str]:
    result = runner.invoke(app, [*map(str, arguments)], catch_exceptions=False)
    return result.exit_code, result.output


def written(storage: Path) -> dict[Path, int]:
    """When each result of training and measuring was written."""
    names = (TRAINED_FILE, LAST_CHECKPOINT, MEASURED_FILE)
    return {file: file.stat().st_mtime_ns for name in names for file in storage.rglob(name)}


def asking(sweep_file: SweepFile, *shifts: str) -> Path:
    return sweep_file(("name: small", f"name: small\nshifts: [{', '.join(shifts)}]"))


def test_a_shift_that_is_asked_for_later_trains_and_measures_nothing(
    storage: Path, finished: Path, sweep_file: SweepFile
) -> None:
    before = written(storage)
    assert len(before) == 3 * 4
    code, output = renyi("report", finished, "--gap", "shift:noise_5")
    assert code == 2
    assert "--gap shift:noise_5: no trial of small has it; there: loss, error, test_error; `shifts`" in output

    path = asking(sweep_file, "noise_5", "contrast_5")
    assert "to do: 8 evaluations of the test set under shifts" in renyi("plan", path)[1]
    code, output = renyi("run", path, "--executor", "inline")
    assert code == 0, output
    assert "0 trained, 0 measured, 8 evaluated under shifts; 4 trials in all" in output
    assert written(storage) == before
    assert "to do: nothing" in renyi("plan", path)[1]
    assert json.loads(renyi("status", path, "--json")[1])["shifts"] == {"noise_5": 4, "contrast_5": 4}
    assert "0 trained, 0 measured, 0 evaluated" in renyi("run", path, "--executor", "inline")[1]

    # One more shift leaves the others as they are.
    kept = {file: file.stat().st_mtime_ns for file in storage.rglob("shifts/*_*.json")}
    grown = asking(sweep_file, "noise_5", "contrast_5", "blur_1")
    assert "0 trained, 0 measured, 4 evaluated" in renyi("remeasure", grown, "--executor", "inline")[1]
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert written(storage) == before

    config = load(str(grown))
    tracked, stored = load_sweep(config.tracking_uri, config.name), stored_sweep(make_plan(config))
    columns = sorted(stored.table.columns)
    pd.testing.assert_frame_equal(tracked.table[columns], stored.table[columns])
    trials = stored.table.drop_duplicates("trial_id")
    shifted = trials["test_loss_under_noise_5"] - trials["train_loss"]
    assert (trials["gap_loss_under_noise_5"] - shifted).abs().max() < 1e-12
    assert (trials["gap_loss_under_contrast_5"] > trials["gap_loss"]).all()
    assert {run.data.tags["renyi.shifts"] for run in trial_runs(config)} == {"blur_1, contrast_5, noise_5"}

    code, output = renyi("report", grown, "--gap", "shift:noise_5", "--gap", "loss")
    assert code == 0, output
    assert "the gap under noise_5 (test loss on shifted images − training loss)" in " ".join(output.split())
    table = pd.read_csv(storage / "small" / "report" / "tau.csv")
    assert set(table["target"]) == {"gap under noise_5", "gap"}
    assert table.groupby("target")["tau_b"].count().min() > 0
    page = (storage / "small" / "report" / "report.html").read_text()
    assert f"renyi report {grown} --gap shift:noise_5 --gap loss" in page


def test_a_trial_whose_shift_failed_is_retried_by_itself(storage: Path, finished: Path, sweep_file: SweepFile) -> None:
    before = written(storage)
    checkpoint = next(storage.rglob(LAST_CHECKPOINT))
    weights = checkpoint.read_bytes()
    checkpoint.write_bytes(b"damaged")
    path = asking(sweep_file, "blur_1")
    code, output = renyi("run", path, "--executor", "inline")
    assert code == 1
    assert "0 trained, 0 measured, 3 evaluated under shifts; 4 trials in all" in output
    assert "in shifts: DamagedError: " in output
    assert "3 measured, 1 failed" in renyi("status", path)[1]
    checkpoint.write_bytes(weights)
    code, output = renyi("retry", path, "--executor", "inline")
    assert code == 0, output
    assert "1 evaluated under shifts; 4 trials in all" in output
    assert not list(storage.rglob(FAILED_FILE))
    assert {file: time for file, time in written(storage).items() if file != checkpoint} == {
        file: time for file, time in before.items() if file != checkpoint
    }
    config = load(str(path))
    statuses = [run.info.status for run in trial_runs(config)]
    assert statuses == ["FINISHED"] * 4
    client = MlflowClient(config.tracking_uri)
    assert not [run for run in trial_runs(config) if "renyi.reason" in client.get_run(run.info.run_id).data.tags]
