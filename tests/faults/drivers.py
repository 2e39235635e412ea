"""Drivers as processes, and what must be true of their record when the last of them is done."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mlflow import MlflowClient

from orchestrator.config.load import load
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import MEASURED_FILE
from tests.forked_renyi import Renyi
from trainables.trial.folder import TRAINED_FILE


def start(path: Path, command: str = "run", executor: str = "inline") -> Renyi:
    """A driver in a session of its own, with what it says on one stream."""
    return Renyi(command, str(path), "--executor", executor)


def run(path: Path, command: str = "run", executor: str = "inline") -> tuple[int, str]:
    """A driver to its end: exit code and what it said."""
    driver = start(path, command, executor)
    output, _ = driver.communicate(timeout=600)
    return driver.returncode, output


def wait_for(condition: Callable[[], bool], driver: Renyi, seconds: float = 300) -> None:
    """Until something is true, while the driver lives."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def finished(storage: Path) -> dict[str, int]:
    """When each finished step was written, by its place below the storage."""
    files = [*storage.rglob(TRAINED_FILE), *storage.rglob(MEASURED_FILE)]
    return {str(file.relative_to(storage)): file.stat().st_mtime_ns for file in files}


def check_record(path: Path) -> None:
    """Every trial is measured, and MLflow has exactly one run of it, with exactly what the store has."""
    config = load(str(path))
    plan = make_plan(config)
    assert set(plan.states.values()) == {"measured"}
    client = MlflowClient(config.tracking_uri)
    experiment = client.get_experiment_by_name(config.name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    (parent,) = (run for run in runs if run.data.tags["renyi.kind"] == "sweep")
    assert parent.info.status == "FINISHED"
    assert {artifact.path for artifact in client.list_artifacts(parent.info.run_id)} >= {"report.html"}
    trials = [run for run in runs if run.data.tags["renyi.kind"] == "trial"]
    assert Counter(run.data.tags["renyi.trial_id"] for run in trials) == Counter(spec.trial_id for spec in plan.specs)
    for run in trials:
        trained = plan.store.trial(run.data.tags["renyi.trial_id"]).read_trained()
        assert run.info.status == "FINISHED"
        assert run.data.params["learning_rate"]
        assert run.data.metrics["renyi_0.5/all"]
        points = client.get_metric_history(run.info.run_id, "training/train_loss")
        assert sorted((point.step, point.value, point.timestamp) for point in points) == [
            (epoch.epoch, epoch.train_loss, int(epoch.timestamp * 1000)) for epoch in trained.history
        ]
        artifacts = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
        assert {"measurements.parquet", "spectra.parquet"} <= artifacts
