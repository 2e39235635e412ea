"""Whole sweeps in this process: real data, real training, real MLflow; no Ray."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner, Result

from analysis.measures import MEASURES as CATALOGUE
from analysis.results.mlflow import load_results
from orchestrator.cli import app
from orchestrator.config.load import load
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import MEASURED_FILE, TrialState
from tests.conftest import ONE_LAYER
from trainables.trial.folder import TRAINED_FILE
from trainables.trial.manifest import MANIFEST_FILE

SweepFile = Callable[..., Path]
runner = CliRunner()
MEASURES = "measures: [renyi, renyi_gauss_newton, trace, lambda_max, l2]"  # those of the small sweep


def run(path: Path, command: str = "run", *options: str) -> Result:
    return runner.invoke(app, [command, str(path), "--executor", "inline", *options], catch_exceptions=False)


def times(storage: Path) -> dict[str, int]:
    """When each finished step was written."""
    files = [*storage.rglob(TRAINED_FILE), *storage.rglob(MEASURED_FILE)]
    return {str(path): path.stat().st_mtime_ns for path in files}


def runs(path: Path) -> pd.DataFrame:
    config = load(str(path))
    client = MlflowClient(config.tracking_uri)
    experiment = client.get_experiment_by_name(config.name)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    return pd.DataFrame(
        {"id": run.info.run_id, "status": run.info.status, **run.data.tags, **run.data.metrics} for run in found
    )


def test_a_sweep_runs_once_and_grows(storage: Path, sweep_file: SweepFile) -> None:
    path = sweep_file(ONE_LAYER)
    result = run(path)
    assert result.exit_code == 0, result.output
    assert "4 trained, 4 measured; 4 trials in all" in result.output
    assert "Kendall's τ_b" in result.output
    done = times(storage)
    assert len(done) == 8

    again = run(path)
    assert again.exit_code == 0
    assert "0 trained, 0 measured; 4 trials in all" in again.output
    assert times(storage) == done

    grown = sweep_file(ONE_LAYER, ("[1e-4, 1e-3]", "[1e-4, 1e-3, 1e-2]"), name="grown.yaml")
    result = run(grown)
    assert "2 trained, 2 measured; 6 trials in all" in result.output
    assert {name: time for name, time in times(storage).items() if name in done} == done

    table = runs(grown)
    children = table[table["renyi.kind"] == "trial"]
    assert table["renyi.kind"].value_counts().to_dict() == {"trial": 6, "sweep": 1, "earlier_sweep": 1}
    assert children["renyi.trial_id"].is_unique
    assert set(children["status"]) == {"FINISHED"}
    assert children["renyi_0.5/classifier.weight"].notna().all()
    assert children["generalization/gap_loss"].notna().all()


def test_results_are_tidy_and_complete(storage: Path, finished: Path) -> None:
    path = finished
    config = load(str(path))
    results = load_results(config.tracking_uri, config.name)
    # renyi at two orders, trace, lambda_max and l2 for four layers and all of them; renyi_gauss_newton at two orders
    # for all of them, where it is another matrix; four trials.
    assert len(results) == 4 * (5 * 5 + 2)
    assert results["value"].notna().all()
    assert set(results["learning_rate"]) == {0.05, 0.1}
    assert set(results["weight_decay"]) == {1e-4, 1e-3}
    report = storage / "small" / "report"
    files = {file.name for file in report.iterdir()} - {MANIFEST_FILE}
    assert {"report.html", "verdict.md", "tables.tex", "tau.csv", "gap_against_sharpness.svg"} <= files
    assert len(pd.read_csv(report / "tau.csv")) == 5 * 5 + 2
    parent = runs(path).set_index("renyi.kind").loc["sweep", "id"]
    artifacts = {artifact.path for artifact in MlflowClient(config.tracking_uri).list_artifacts(str(parent))}
    assert artifacts == files | {"sweep.yaml"}
    note = MlflowClient(config.tracking_uri).get_run(str(parent)).data.tags["mlflow.note.content"]
    assert "**verdict**: too little to conclude: 4 configurations with a gap" in note


def test_a_failing_trial_leaves_the_others_alone(storage: Path, half_failed: Path) -> None:
    path = half_failed
    output = (storage / "output.txt").read_text()
    assert "2 trained, 2 measured; 4 trials in all" in output
    assert output.count("DivergedError: the training loss became") == 4  # once as it happens, once at the end
    assert "try them again with: renyi retry /" in output

    status = runner.invoke(app, ["status", str(path)])
    assert "2 measured, 2 failed" in status.output
    assert status.output.count("DivergedError") == 2
    again = run(path)
    assert again.exit_code == 1
    assert "0 trained, 0 measured" in again.output  # failures wait to be retried

    retried = run(path, "retry")
    assert retried.exit_code == 1
    assert "2 failed  " in retried.output
    table = runs(path)
    assert table["renyi.trial_id"].dropna().is_unique
    assert sorted(table["status"]) == ["FAILED", "FAILED", "FAILED", "FINISHED", "FINISHED"]


def test_a_failing_measurement_keeps_the_training(storage: Path, sweep_file: SweepFile) -> None:
    path = sweep_file(("samples: 20", "samples: 20, layers: [clasifier.weight]"))
    refused = run(path)
    assert refused.exit_code == 2
    assert "nearest names: classifier.weight" in refused.output
    result = run(path, "run", "--no-rehearsal")
    assert result.exit_code == 1
    assert "nearest names: classifier.weight" in result.output
    before = {name: time for name, time in times(storage).items() if name.endswith(TRAINED_FILE)}

    mended = sweep_file(("samples: 20", "samples: 20, layers: [classifier.weight]"))
    result = run(mended)
    assert result.exit_code == 0, result.output
    assert "4 measured" in result.output
    assert {name: time for name, time in times(storage).items() if name.endswith(TRAINED_FILE)} == before


def test_other_settings_measure_again_without_training(finished: Path, sweep_file: SweepFile) -> None:
    other = sweep_file(("orders: [0.5, 1.5]", "orders: [0.5, 1.5, 2.0]"))
    assert make_plan(load(str(other))).counts == {TrialState.TRAINED: 4}
    assert "0 trained, 4 measured" in run(other).output


def test_every_measure_reaches_the_table_and_mlflow(storage: Path, sweep_file: SweepFile) -> None:
    few = "worst_case: {num_steps: 2, sam: [0.05, 0.1]}, average: {num_draws: 2}, haar: {num_draws: 2}"
    path = sweep_file(
        ("samples: 20", "samples: 50"),
        (MEASURES, f"measures: all, {few}"),
        ("epochs: 2", "epochs: 6"),
        ("[1e-4, 1e-3]", "1e-3"),
    )
    result = run(path)
    assert result.exit_code == 0, result.output
    config = load(str(path))
    results = load_results(config.tracking_uri, config.name)
    assert set(results["measure"]) == set(CATALOGUE)
    measured = results[results["value"].notna()]
    assert set(measured["measure"]) == set(CATALOGUE), results[results["value"].isna()]["reason"].unique()
    assert set(pd.read_csv(storage / "small" / "report" / "tau.csv")["measure"]) == set(CATALOGUE)
    logged = set(runs(path).columns)
    assert {"sam_0.05/all", "sam_n_0.05/all", "fisher_rao/classifier.weight", "pacbayes_mag_init/all"} <= logged
    assert "sam_0.1/all" not in logged  # in the Parquet file only
    assert {0.05, 0.1} == set(results.loc[results["measure"] == "sam", "parameter"])
    gaps = results.drop_duplicates("trial_id")
    assert (gaps["gap_loss_subset"] - (gaps["test_loss"] - gaps["train_loss_subset"])).abs().max() < 1e-12
    for quantity in ("gap_loss", "gap_error", "gap_loss_subset", "train_loss_subset"):
        assert (gaps[f"{quantity}_stderr"] > 0).all()


def test_a_measure_of_ones_own_by_dotted_path(storage: Path, sweep_file: SweepFile) -> None:
    own = "tests.analysis.sharpness.own_measures.largest_weight"
    path = sweep_file((MEASURES, f"measures: [l2, {own}]"))
    result = run(path)
    assert result.exit_code == 0, result.output
    assert own in result.output
    assert f"{own}/all" in runs(path).columns


def test_a_measure_that_does_not_import_stops_the_sweep_before_it_trains(storage: Path, sweep_file: SweepFile) -> None:
    result = run(sweep_file((MEASURES, "measures: [l2, nowhere.sharpness]")))
    assert result.exit_code == 2
    assert "measure 'nowhere.sharpness' can't be imported: No module named 'nowhere'" in result.output
    assert not list(storage.rglob("*.pt"))


def test_a_measure_that_returns_the_wrong_thing_fails_with_its_name(storage: Path, sweep_file: SweepFile) -> None:
    own = "tests.analysis.sharpness.own_measures.tensor"
    result = run(sweep_file((MEASURES, f"measures: [{own}]"), ("[0.05, 0.1]", "0.1")))
    assert result.exit_code == 1
    assert f"measure '{own}' must return a number or a list of Measurement; it returned Tensor" in result.output


@pytest.mark.parametrize("command", ["report", "ui"])
def test_a_sweep_that_never_ran_has_nothing_to_show(storage: Path, sweep_file: SweepFile, command: str) -> None:
    (storage / "mlflow.db").unlink()
    result = runner.invoke(app, [command, str(sweep_file())], catch_exceptions=False)
    assert result.exit_code == 2
    assert "small: has no results at sqlite:///" in result.output
    assert not (storage / "mlflow.db").exists()


def test_one_checkpoint_can_be_measured_alone(storage: Path, finished: Path) -> None:
    checkpoint = next(storage.rglob("last.pt"))
    result = runner.invoke(app, ["measure", str(checkpoint), "--samples", "20", "--orders", "2"])
    assert result.exit_code == 0, result.output
    assert "classifier.weight" in result.output
    assert "all layers" in result.output
