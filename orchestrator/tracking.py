"""The record in MLflow: one run a trial under one parent run for the sweep. Only the driver writes it."""

import getpass
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.utils.mlflow_tags import (
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)

from analysis import schema
from analysis.parquet import measurements_from_parquet
from analysis.results import search_runs
from orchestrator.config import SweepConfig
from orchestrator.events import EpochsDone, TrialEvent
from orchestrator.generalization import of_subset, of_training
from orchestrator.run_description import TAG_CHECKPOINT, code_tags, dataset_input, trial_note, trial_tags
from orchestrator.trial_store import MEASURED_FILE, TrialState, TrialStore
from trainables.specs import TrialSpec
from trainables.storage import is_remote
from trainables.trial_folder import LAST_CHECKPOINT, EpochMetrics, Generalization

BATCH = 1000  # metrics in one request, MLflow's limit
SECONDS_BETWEEN_FLUSHES = 20.0  # of a running trial's epochs
EPOCH_METRICS = ("train_loss", "test_loss", "test_accuracy", "validation_accuracy", "learning_rate")
_FINAL = {TrialState.MEASURED: "FINISHED", TrialState.FAILED: "FAILED"}


class SweepTracker:
    """Brings MLflow to the state of the trial store. Every call may be repeated: it finds before it creates, and
    points carry their own timestamps, so a point logged twice is one point."""

    def __init__(self, config: SweepConfig, store: TrialStore, specs: list[TrialSpec]) -> None:
        self._config = config
        self._store = store
        self._specs = {spec.trial_id: spec for spec in specs}
        if not is_remote(config.storage):
            Path(config.storage).mkdir(parents=True, exist_ok=True)  # SQLite makes files, not folders
        self._client = MlflowClient(config.tracking_uri)
        self._origin = {
            schema.TAG_SWEEP: config.name,
            MLFLOW_SOURCE_NAME: f"renyi run {config.name}",
            MLFLOW_SOURCE_TYPE: "JOB",
            MLFLOW_USER: getpass.getuser(),
            **code_tags(),
        }
        self._pending: dict[str, list[EpochMetrics]] = {}
        self._flushed: dict[str, float] = {}
        self.experiment_id = self._experiment()
        runs = search_runs(self._client, self.experiment_id, f"tags.`{schema.TAG_SWEEP}` = '{config.name}'")
        self._runs = {run.data.tags.get(schema.TAG_TRIAL_ID, ""): run for run in runs}
        self.parent_run_id = self._parent([run for run in runs if _kind(run) == schema.KIND_SWEEP])

    def reconcile(self, states: Mapping[str, TrialState], progress: Callable[[str], None] = lambda _: None) -> None:
        """Log every trial whose record says less than the store: what an earlier driver did not live to log."""
        for trial_id, state in states.items():
            if state in (TrialState.PENDING, TrialState.TRAINING):
                continue
            if not self._is_recorded(trial_id, state):
                progress(trial_id)
                self._sync(trial_id)

    def record(self, event: TrialEvent) -> None:
        """Log what just happened."""
        if not isinstance(event, EpochsDone):
            self._sync(event.trial_id)
            return
        pending = self._pending.setdefault(event.trial_id, [])
        pending += event.epochs
        now = time.monotonic()
        if now - self._flushed.setdefault(event.trial_id, now) > SECONDS_BETWEEN_FLUSHES:
            self._log_epochs(self._run_id(event.trial_id), pending)
            self._flushed[event.trial_id] = now
            pending.clear()

    def log_report(self, files: Mapping[str, bytes], note: str, folder: str | None = None) -> None:
        """Put the report's files on the sweep's parent run; without a folder, its verdict as the description too."""
        self._log_files(self.parent_run_id, files, folder)
        if folder is None:
            self._client.set_tag(self.parent_run_id, MLFLOW_RUN_NOTE, note)

    def finish(self, states: Mapping[str, TrialState], interrupted: bool = False) -> None:
        """Close the parent run, and with an interrupted sweep the runs of trials that were cut."""
        for trial_id, run in self._runs.items():
            if interrupted and trial_id and states.get(trial_id) not in _FINAL and run.info.status == "RUNNING":
                self._client.set_terminated(run.info.run_id, "KILLED")
        failed = any(state is TrialState.FAILED for state in states.values())
        status = "KILLED" if interrupted else "FAILED" if failed else "FINISHED"
        counts = {state.value: list(states.values()).count(state) for state in TrialState}
        self._client.log_batch(
            self.parent_run_id,
            metrics=[Metric(f"trials/{name}", count, _milliseconds(time.time()), 0) for name, count in counts.items()],
        )
        self._client.set_terminated(self.parent_run_id, status)

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(self._config.name)
        if found is not None:
            return str(found.experiment_id)
        local = self._config.tracking is None and not is_remote(self._config.storage)
        location = (Path(self._config.storage) / "mlartifacts" / self._config.name).as_uri() if local else None
        # Without this tag the UI opens the experiment in its view for generative AI.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        return str(self._client.create_experiment(self._config.name, artifact_location=location, tags=kind))

    def _parent(self, existing: list[Run]) -> str:
        if existing:
            run_id = str(existing[0].info.run_id)
            self._client.update_run(run_id, status="RUNNING")
            return run_id
        tags = {
            **self._origin,
            MLFLOW_RUN_NAME: f"sweep {self._config.name}",
            schema.TAG_KIND: schema.KIND_SWEEP,
        }
        return str(self._client.create_run(self.experiment_id, tags=tags).info.run_id)

    def _run_id(self, trial_id: str) -> str:
        """The run of a trial, created the first time it is asked for."""
        run = self._runs.get(trial_id)
        if run is None:
            spec = self._specs[trial_id]
            tags = {
                **self._origin,
                MLFLOW_RUN_NAME: spec.label,
                MLFLOW_PARENT_RUN_ID: self.parent_run_id,
                schema.TAG_KIND: schema.KIND_TRIAL,
                schema.TAG_TRIAL_ID: trial_id,
                schema.TAG_STATE: TrialState.TRAINING.value,
                **trial_tags(spec, self._config),
            }
            run = self._client.create_run(self.experiment_id, tags=tags)
            self._runs[trial_id] = run
            parameters = [Param(name, str(value)) for name, value in spec.parameters().items()]
            self._client.log_batch(run.info.run_id, params=parameters)
            self._client.log_inputs(run.info.run_id, datasets=[dataset_input(self._config)])
        return str(run.info.run_id)

    def _is_recorded(self, trial_id: str, state: TrialState) -> bool:
        run = self._runs.get(trial_id)
        if run is None or run.data.tags.get(schema.TAG_STATE) != state.value:
            return False
        return run.data.tags.get(schema.TAG_MEASUREMENT_ID, "") in ("", self._store.measurement_id)

    def _sync(self, trial_id: str) -> None:
        """Bring a trial's run to what the store says of it. The state's tag comes last: it says that all is logged."""
        state = self._store.state(trial_id)
        run_id = self._run_id(trial_id)
        trial = self._store.trial(trial_id)
        tags = {schema.TAG_STATE: state.value}
        if state in (TrialState.TRAINED, TrialState.MEASURED):
            trained = trial.read_trained()
            self._log_epochs(run_id, trained.history)
            self._log_quantities(run_id, of_training(trained.generalization), trained.history[-1].timestamp)
            tags[MLFLOW_RUN_NOTE] = trial_note(self._specs[trial_id], trained, trial.folder)
            tags[TAG_CHECKPOINT] = f"{trial.folder.uri}/{LAST_CHECKPOINT}"
        if state is TrialState.MEASURED:
            self._log_measurements(run_id, trial_id, trained.generalization)
            tags[schema.TAG_MEASUREMENT_ID] = self._store.measurement_id
        if state is TrialState.FAILED:
            failure = self._store.failure(trial_id)
            tags[schema.TAG_REASON] = failure.reason
            tags[MLFLOW_RUN_NOTE] = f"Failed in {failure.stage}: {failure.reason}\n\n```\n{failure.traceback}\n```"
        self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        if state in _FINAL:
            self._client.set_terminated(run_id, _FINAL[state])
        self._pending.pop(trial_id, None)

    def _log_epochs(self, run_id: str, epochs: list[EpochMetrics]) -> None:
        self._log_metrics(
            run_id,
            [
                Metric(
                    f"{schema.TRAINING_PREFIX}/{name}",
                    getattr(epoch, name),
                    _milliseconds(epoch.timestamp),
                    epoch.epoch,
                )
                for epoch in epochs
                for name in EPOCH_METRICS
                if getattr(epoch, name) is not None
            ],
        )

    def _log_quantities(self, run_id: str, values: Mapping[str, float], timestamp: float) -> None:
        self._log_metrics(
            run_id,
            [
                Metric(f"{schema.GENERALIZATION_PREFIX}/{name}", value, _milliseconds(timestamp), 0)
                for name, value in values.items()
            ],
        )

    def _log_measurements(self, run_id: str, trial_id: str, generalization: Generalization) -> None:
        folder = self._store.measurement(trial_id)
        record = json.loads(folder.read(MEASURED_FILE))
        self._log_quantities(run_id, of_subset(generalization, record), record["timestamp"])
        files = {name: folder.read(name) for name in (schema.MEASUREMENTS_FILE, schema.SPECTRA_FILE)}
        self._log_files(run_id, files)
        self._log_metrics(
            run_id,
            [
                Metric(schema.metric_name(row), row.value, _milliseconds(record["timestamp"]), 0)
                for row in schema.headline(measurements_from_parquet(files[schema.MEASUREMENTS_FILE]))
                if row.value is not None
            ],
        )

    def _log_metrics(self, run_id: str, metrics: list[Metric]) -> None:
        for start in range(0, len(metrics), BATCH):
            self._client.log_batch(run_id, metrics=metrics[start : start + BATCH])

    def _log_files(self, run_id: str, files: Mapping[str, bytes], folder: str | None = None) -> None:
        with tempfile.TemporaryDirectory(prefix="renyi-log-") as scratch:
            for name, data in files.items():
                (Path(scratch) / name).write_bytes(data)
            self._client.log_artifacts(run_id, scratch, folder)


def _kind(run: Run) -> str | None:
    kind: str | None = run.data.tags.get(schema.TAG_KIND)
    return kind


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
