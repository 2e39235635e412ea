"""What a trial leaves to be recorded, and the runs that MLflow has of it."""

from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.config.sweep_config import SweepConfig
from trainables.trial.folder import EpochMetrics, Generalization

HISTORY = [
    EpochMetrics(
        epoch,
        0.1,
        1.0 / (epoch + 1),
        2.0,
        0.5,
        0.01,
        1000.0 + epoch,
        system={"cpu_utilization_percentage": 10.0 * epoch},
    )
    for epoch in range(3)
]
OUTCOME = Generalization(0.1, 0.01, 1.0, 0.0, 0.3, 0.02, 0.9, 0.03)


def trial_runs(config: SweepConfig) -> list[Run]:
    client = MlflowClient(config.tracking_uri)
    experiment = client.get_experiment_by_name(config.name)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], "tags.`renyi.kind` = 'trial'"))


def create_run(config: SweepConfig, experiment_id: str, trial_id: str) -> Run:
    """A run as a driver leaves it that is killed before it logs anything there."""
    tags = {"renyi.sweep": config.name, "renyi.kind": "trial", "renyi.trial_id": trial_id, "renyi.state": "training"}
    return MlflowClient(config.tracking_uri).create_run(experiment_id, tags=tags)
