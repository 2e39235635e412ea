"""The parent run: of one set of settings, with the sweep's file, its data set and τ, whatever was logged before."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.trial_store import TrialStore
from orchestrator.tracking.experiment import log_report
from orchestrator.tracking.protocol import LoggedReport
from orchestrator.tracking.tracker import MLflowTracker
from tests.orchestrator.made_up import finish
from tests.orchestrator.tracking.recorded import trial_runs
from trainables.trial.specs import TrialSpec


def recorded(config: SweepConfig, specs: list[TrialSpec]) -> Run:
    """The parent run after a driver has brought the record up to date."""
    store = TrialStore(config.folder, config.sharpness.measurement_id)
    tracker = MLflowTracker(config, store, specs)
    tracker.reconcile(store.states(specs))
    assert tracker.wait() == 0
    return MlflowClient(config.tracking_uri).get_run(tracker.parent_run_id)


def test_it_has_the_sweep_file_the_settings_and_the_data_set(config: SweepConfig, specs: list[TrialSpec]) -> None:
    run = recorded(config, specs)
    params = run.data.params
    assert params["dataset"] == "digits"
    assert params["model"] == "digits_cnn"
    assert params["training.epochs"] == "2"
    assert params["sharpness.orders"] == "0.5, 1.5"
    assert params["grid.0"] == "sgd × learning_rate in [0.05, 0.1] × weight_decay in [0.0001, 0.001]"
    client = MlflowClient(config.tracking_uri)
    path = client.download_artifacts(run.info.run_id, "sweep.yaml")
    assert Path(path).read_text() == config.shared_text
    assert run.inputs is not None
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == "digits"
    again = recorded(config, specs)
    assert (again.info.run_id, again.data.params) == (run.info.run_id, params)


def test_other_settings_have_a_run_of_their_own_and_the_earlier_one_is_kept(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, sweep_file: Callable[..., Path]
) -> None:
    finish(store, specs[:1], config.sharpness)
    first = recorded(config, specs)
    log_report(config, LoggedReport({"report.html": b"earlier"}, "earlier"))
    more = load(str(sweep_file(("samples: 20", "samples: 30"))))
    second = recorded(more, specs)
    client = MlflowClient(config.tracking_uri)
    assert second.info.run_id != first.info.run_id
    assert second.data.params["sharpness.samples"] == "30"
    kept = client.get_run(first.info.run_id)
    assert kept.data.params["sharpness.samples"] == "20"
    assert kept.info.run_name == "sweep small, earlier settings"
    assert kept.data.tags["renyi.kind"] == "earlier_sweep"
    assert [artifact.path for artifact in client.list_artifacts(first.info.run_id)] == ["report.html", "sweep.yaml"]
    (trial,) = trial_runs(more)
    assert trial.data.tags["mlflow.parentRunId"] == second.info.run_id
    assert recorded(more, specs).info.run_id == second.info.run_id


def test_tau_is_logged_once_and_what_is_gone_is_no_longer_a_number(config: SweepConfig, specs: list[TrialSpec]) -> None:
    run_id = recorded(config, specs).info.run_id
    client = MlflowClient(config.tracking_uri)
    for _ in range(2):
        log_report(config, LoggedReport({}, "", {"tau/trace/all": 0.5, "tau/l2/all": -0.25}))
    assert [point.value for point in client.get_metric_history(run_id, "tau/trace/all")] == [0.5]
    for _ in range(2):
        log_report(config, LoggedReport({}, "", {"tau/trace/all": 0.75}))
        log_report(config, LoggedReport({}, ""))  # of another target: says nothing of these
    metrics = client.get_run(run_id).data.metrics
    assert metrics["tau/trace/all"] == pytest.approx(0.75)
    assert math.isnan(metrics["tau/l2/all"])
    assert len(client.get_metric_history(run_id, "tau/l2/all")) == 2
