"""A model of MLflow's for each checkpoint, made once, with the trial's final metrics."""

from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModel
from mlflow.exceptions import MlflowException

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.trial_store import TrialStore
from orchestrator.tracking.experiment import open_experiment
from orchestrator.tracking.run import TrialRuns
from tests.orchestrator.made_up import finish
from tests.orchestrator.tracking.recorded import trial_runs
from trainables.trial.specs import TrialSpec


def models(config: SweepConfig, experiment_id: str) -> list[LoggedModel]:
    return list(MlflowClient(config.tracking_uri).search_logged_models([experiment_id]))


def test_it_is_made_once_whatever_a_killed_driver_left(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(store, specs[:1], config.sharpness)
    experiment = open_experiment(config)

    def killed(*_: Any) -> None:
        raise MlflowException("killed between making the model and joining it")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_outputs", killed)
        with pytest.raises(MlflowException, match="killed"):
            TrialRuns(experiment, config, store, specs).sync(specs[0].trial_id)
    for _ in range(2):
        TrialRuns(open_experiment(config), config, store, specs).sync(specs[0].trial_id)
    (model,) = models(config, experiment.experiment_id)
    (run,) = trial_runs(config)
    assert model.name == f"sgd-{specs[0].trial_id}"
    assert model.status == "READY"
    assert model.source_run_id == run.info.run_id
    assert model.tags["renyi.checkpoint"].endswith(f"{specs[0].trial_id}/last.pt")
    assert model.params["learning_rate"] == "0.05"
    assert model.metrics is not None
    assert run.outputs is not None
    linked = {metric.key: metric.value for metric in model.metrics}
    assert linked["generalization/gap_loss"] == pytest.approx(0.2)
    assert linked["renyi_0.5/all"] == run.data.metrics["renyi_0.5/all"]
    assert "training/train_loss" not in linked
    assert len(linked) == len(model.metrics)  # each once
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]


def test_a_server_that_knows_no_models_gets_the_runs(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(store, specs[:2], config.sharpness)
    experiment = open_experiment(config)

    def unknown(*_: Any, **__: Any) -> None:
        from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND

        raise MlflowException("no such endpoint", ENDPOINT_NOT_FOUND)

    monkeypatch.setattr(MlflowClient, "create_logged_model", unknown)
    monkeypatch.setattr(MlflowClient, "search_logged_models", unknown)
    runs = TrialRuns(experiment, config, store, specs)
    for spec in specs[:2]:
        runs.sync(spec.trial_id)
    assert {run.data.tags["renyi.state"] for run in trial_runs(config)} == {"measured"}
