"""`renyi report` after real sweeps: from tracking or store, of one sweep or several, whole or broken."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner, Result

from analysis.errors import AnalysisError
from analysis.results.mlflow import experiment_id, load_results, load_sweep
from orchestrator.cli import app
from orchestrator.config.load import load
from orchestrator.store.plan import make_plan
from orchestrator.store.results import stored_sweep
from tests.conftest import ONE_LAYER

SweepFile = Callable[..., Path]
runner = CliRunner()


def renyi(*arguments: str | Path) -> Result:
    return runner.invoke(app, [*map(str, arguments)], catch_exceptions=False)


def without_place_and_time(page: str) -> str:
    """A page without the minute in which it was written and without the addresses of runs in MLflow."""
    return re.sub(r'<time>.*?</time>|"runs":\[.*?\]', "", page)


def test_tracking_and_store_hold_the_same_results(storage: Path, finished: Path) -> None:
    path = finished
    assert renyi("report", path).exit_code == 0
    config = load(str(path))
    tracked, stored = load_sweep(config.tracking_uri, config.name), stored_sweep(make_plan(config))
    columns = sorted(tracked.table.columns)
    assert columns == sorted(stored.table.columns)
    pd.testing.assert_frame_equal(tracked.table[columns], stored.table[columns])
    assert tracked.states == stored.states == {"measured": 4}
    assert tracked.spectra.keys() == stored.spectra.keys()
    for trial_id, by_layer in tracked.spectra.items():
        assert by_layer.keys() == stored.spectra[trial_id].keys()
        for layer, spectrum in by_layer.items():
            assert spectrum.renyi_entropy(1.5) == stored.spectra[trial_id][layer].renyi_entropy(1.5)

    # The same page without any tracking database, but for its links to runs and its date.
    page = (storage / "small" / "report" / "report.html").read_text()
    assert page.count("#/experiments/1/runs/") == 4
    (storage / "mlflow.db").unlink()
    result = renyi("report", path, "--source", "store")
    assert result.exit_code == 0, result.output
    assert "optimizers" not in result.output
    again = (storage / "small" / "report" / "report.html").read_text()
    assert without_place_and_time(again) == without_place_and_time(page)
    assert not (storage / "mlflow.db").exists()


def test_methods_of_several_seeds_are_compared_in_the_terminal_too(storage: Path, sweep_file: SweepFile) -> None:
    path = sweep_file(
        ONE_LAYER,
        ("{dataset: digits}", "{dataset: digits, validation: 200}"),
        ("    weight_decay: [1e-4, 1e-3]\n", "  - {optimizer: sam, learning_rate: [0.05, 0.1]}\nseeds: [0, 1]\n"),
    )
    result = renyi("run", path, "--executor", "inline")
    assert result.exit_code == 0, result.output
    assert "optimizers: test accuracy in %" in result.output
    words = " ".join(result.output.split())
    assert "dataset network SGD SAM seeds" in words
    assert "Of 2 configurations of a method, the one of best mean validation accuracy is shown" in words
    methods = pd.read_csv(storage / "small" / "report" / "optimizers.csv")
    assert list(methods["seeds"]) == [2, 2]
    assert methods["shown_at"].str.match(r"learning_rate 0\.05|learning_rate 0\.1").all()
    assert (methods["best_epoch"] >= methods["test_accuracy"] - 1e-9).all()


def test_several_sweeps_are_compared_on_one_page(storage: Path, finished: Path, sweep_file: SweepFile) -> None:
    first = finished
    second = sweep_file(ONE_LAYER, ("name: small", "name: other"), ("[0.05, 0.1]", "[0.1]"), name="other.yaml")
    assert renyi("run", second, "--executor", "inline").exit_code == 0
    result = renyi("report", first, second)
    assert result.exit_code == 0, result.output
    folder = storage / "small" / "report-small-other"
    assert f"the whole report: {folder}/report.html" in result.output
    assert set(pd.read_csv(folder / "tau.csv")["sweep"]) == {"small", "other"}
    page = (folder / "report.html").read_text()
    assert f"renyi report {first} {second}" in page
    config = load(str(first))
    client = MlflowClient(config.tracking_uri)
    (parent,) = client.search_runs([experiment_id(config.tracking_uri, "small")], "tags.`renyi.kind` = 'sweep'")
    assert "report-small-other" in {artifact.path for artifact in client.list_artifacts(parent.info.run_id)}
    assert "## other" not in parent.data.tags["mlflow.note.content"]


def test_a_sweep_whose_trials_all_failed_has_a_report_that_says_so(storage: Path, sweep_file: SweepFile) -> None:
    path = sweep_file(("[0.05, 0.1]", "[1e6]"))
    result = renyi("run", path, "--executor", "inline")
    assert result.exit_code == 1
    assert "too little to conclude: 0 configurations with a gap" in result.output
    assert "0 trials measured, 2 failed" in result.output
    assert "DivergedError" in (storage / "small" / "report" / "report.html").read_text()
    config = load(str(path))
    with pytest.raises(AnalysisError, match="no trial of sweep 'small' has been measured"):
        load_results(config.tracking_uri, config.name)


def test_a_sweep_of_one_trial_has_a_report_that_says_so(storage: Path, sweep_file: SweepFile) -> None:
    path = sweep_file(ONE_LAYER, ("[0.05, 0.1]", "0.1"), ("[1e-4, 1e-3]", "1e-4"))
    result = renyi("run", path, "--executor", "inline")
    assert result.exit_code == 0
    assert "too little to conclude: 1 configuration with a gap" in result.output


def test_runs_can_be_filtered_and_read(finished: Path) -> None:
    assert renyi("run", finished, "--executor", "inline").exit_code == 0  # nothing is done, but runs name the new place
    config = load(str(finished))
    client = MlflowClient(config.tracking_uri)
    experiment = experiment_id(config.tracking_uri, config.name)
    found = client.search_runs([experiment], "tags.optimizer = 'sgd' and tags.`axis.learning_rate` = '0.05'")
    assert len(found) == 2
    tags = found[0].data.tags
    assert {"renyi.version", "model", "dataset", "axis.weight_decay"} <= set(tags)
    assert Path(tags["renyi.checkpoint"]).is_file()
    assert f"renyi measure {tags['renyi.checkpoint']}" in tags["mlflow.note.content"]
    assert found[0].inputs is not None
    (data,) = found[0].inputs.dataset_inputs
    assert data.dataset.name == "digits"
