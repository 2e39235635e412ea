"""The points of a trial's run in MLflow, made of what the store has. They carry the store's timestamps, so that a point
which is logged twice is one point."""

from collections.abc import Iterable, Mapping
from typing import Any

from mlflow.entities import Metric

from analysis import schema
from analysis.measures import headline
from analysis.results.parquet import measurements_from_parquet
from orchestrator.store.generalization import of_shift, of_subset, of_training
from trainables.trial.folder import EpochMetrics, Generalization, ShiftedTest, Trained

SYSTEM_PREFIX = "system"  # what the UI shows on its page of system metrics
EPOCH_METRICS = (
    *("train_loss", "averaged_train_loss", "test_loss", "test_accuracy", "validation_accuracy", "learning_rate"),
)


def of_epochs(epochs: Iterable[EpochMetrics]) -> list[Metric]:
    """The metrics of epochs, and how busy the machine was where the sweep asks for that."""
    return [
        Metric(name, value, milliseconds(epoch.timestamp), epoch.epoch)
        for epoch in epochs
        for name, value in _of_epoch(epoch).items()
        if value is not None
    ]


def of_outcome(trained: Trained) -> list[Metric]:
    """How the trained network generalizes."""
    return _of_quantities(of_training(trained), trained.history[-1].timestamp)


def of_measurement(generalization: Generalization, record: Mapping[str, Any], measurements: bytes) -> list[Metric]:
    """The headline of a measurement, and the loss on the samples that were measured.

    Args:
        generalization: how the trained network does.
        record: what measuring wrote to `MEASURED_FILE`.
        measurements: the Parquet table beside it.
    """
    timestamp = record["timestamp"]
    return _of_quantities(of_subset(generalization, record), timestamp) + [
        Metric(schema.metric_name(row), row.value, milliseconds(timestamp), 0)
        for row in headline(measurements_from_parquet(measurements))
        if row.value is not None
    ]


def of_shifts(generalization: Generalization, shifts: Mapping[str, ShiftedTest]) -> list[Metric]:
    """How the trained network does under each shift, by its name."""
    return [
        metric
        for name, shifted in shifts.items()
        for metric in _of_quantities(of_shift(generalization, name, shifted), shifted.timestamp)
    ]


def linked(metrics: Iterable[Metric], model_id: str | None) -> list[Metric]:
    """The points, those about the final network linked to its model; of epochs on the way none is."""
    return [
        metric
        if model_id is None or metric.key.startswith((f"{schema.TRAINING_PREFIX}/", f"{SYSTEM_PREFIX}/"))
        else Metric(metric.key, metric.value, metric.timestamp, metric.step, model_id=model_id)
        for metric in metrics
    ]


def milliseconds(seconds: float) -> int:
    """Unix time as MLflow wants it."""
    return int(seconds * 1000)


def _of_epoch(epoch: EpochMetrics) -> dict[str, float | None]:
    training = {f"{schema.TRAINING_PREFIX}/{name}": getattr(epoch, name) for name in EPOCH_METRICS}
    return training | {f"{SYSTEM_PREFIX}/{name}": value for name, value in epoch.system.items()}


def _of_quantities(values: Mapping[str, float], timestamp: float) -> list[Metric]:
    return [
        Metric(f"{schema.GENERALIZATION_PREFIX}/{name}", value, milliseconds(timestamp), 0)
        for name, value in values.items()
    ]
