"""The record in MLflow: one run a trial under one parent run for the sweep. Only the driver writes it."""

import getpass
import json
import logging
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
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
from analysis.results.mlflow import experiment_id, search_runs
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.events import EpochsDone, TrialEvent
from orchestrator.store.trial_store import MEASURED_FILE, TrialState, TrialStore
from orchestrator.tracking.client import answering, artifact_location, open_client
from orchestrator.tracking.description import TAG_CHECKPOINT, code_tags, dataset_input, trial_note, trial_tags
from orchestrator.tracking.metrics import milliseconds, of_epochs, of_measurement, of_trained
from orchestrator.tracking.retry_queue import Spool
from trainables.errors import StorageError
from trainables.trial.folder import LAST_CHECKPOINT, EpochMetrics, TrialFolder
from trainables.trial.specs import TrialSpec

BATCH = 1000  # metrics in one request, MLflow's limit
SECONDS_BETWEEN_FLUSHES = 20.0  # of a running trial's epochs
PATIENCE = 60.0  # seconds without a success after which the end of a sweep no longer waits for MLflow
SHORT_PATIENCE = 10.0  # the same, where the sweep was stopped, or has waited in vain before
_COMPARED = (schema.TAG_STATE, schema.TAG_REASON, schema.TAG_MEASUREMENT_ID, TAG_CHECKPOINT)
_FINAL = {TrialState.MEASURED: "FINISHED", TrialState.FAILED: "FAILED"}

# The spool repeats what fails, after it has looked what is there. MLflow's own repeats look at nothing, so that a
# request whose answer was lost makes a second run, and one that waits keeps the spool from others for minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # a traceback for each busy moment


@dataclass
class _Logged:
    """What MLflow has of a trial's run, as far as this driver knows: enough to tell what is still to be written."""

    run_id: str
    status: str
    tags: dict[str, str]  # those that this class compares
    described: bool  # its parameters are there

    @classmethod
    def of(cls, run: Run) -> "_Logged":
        tags = {name: run.data.tags[name] for name in _COMPARED if name in run.data.tags}
        return cls(run.info.run_id, run.info.status, tags, bool(run.data.params))


class SweepTracker:
    """Brings MLflow to the state of the trial store, in a thread of its own, riding out what MLflow can't do just now.

    The store is the truth, so what is not logged yet needs no file of its own: what is behind is known by comparing
    the two. While the driver lives, `Spool` repeats what failed; a later driver finds what the earlier one did not
    live to log (`reconcile`). Everything may be repeated: a run is looked for before it is created, and points carry
    their own timestamps, so a point logged twice is one point.
    """

    def __init__(
        self,
        config: SweepConfig,
        store: TrialStore,
        specs: list[TrialSpec],
        on_trouble: Callable[[str], None] = lambda _: None,
        on_recovery: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the sweep's experiment and its parent run.

        Args:
            config, store, specs: the sweep.
            on_trouble: told why, when writing fails for the first time after a success.
            on_recovery: told when it succeeds again.

        Raises:
            UsageError: the tracking address can't be used.
        """
        self._config = config
        self._store = store
        self._specs = {spec.trial_id: spec for spec in specs}
        self._unlogged: dict[str, list[EpochMetrics]] = defaultdict(list)
        self._flushed: dict[str, float] = {}
        self._origin = {
            schema.TAG_SWEEP: config.name,
            MLFLOW_SOURCE_NAME: f"renyi run {config.name}",
            MLFLOW_SOURCE_TYPE: "JOB",
            MLFLOW_USER: getpass.getuser(),
            **code_tags(),
        }
        with answering(config):
            self._client = open_client(config)
            self.experiment_id = self._experiment()
            runs = self._search(f"tags.`{schema.TAG_SWEEP}` = '{config.name}'")
            self.parent_run_id = self._parent([run for run in runs if _kind(run) == schema.KIND_SWEEP])
            self._logged = self._one_a_trial(run for run in runs if _kind(run) == schema.KIND_TRIAL)
        self._spool = Spool(on_trouble, on_recovery, fatal=(StorageError,))

    def reconcile(self, states: Mapping[str, TrialState], progress: Callable[[str], None] = lambda _: None) -> None:
        """Have every trial logged whose record says less than the store: what an earlier driver did not live to log."""
        for trial_id, state in states.items():
            if state in (TrialState.PENDING, TrialState.TRAINING):
                continue
            if not self._is_recorded(trial_id, state):
                progress(trial_id)
                self._spool.put(trial_id, partial(self._sync, trial_id))

    def record(self, event: TrialEvent) -> None:
        """Have logged what just happened; returns at once.

        Raises:
            StorageError: an earlier write failed, and not because of MLflow.
        """
        self._spool.check()
        trial_id = event.trial_id
        if not isinstance(event, EpochsDone):
            self._spool.put(trial_id, partial(self._sync, trial_id))
            return
        self._unlogged[trial_id] += event.epochs
        now = time.monotonic()
        if now - self._flushed.setdefault(trial_id, now) > SECONDS_BETWEEN_FLUSHES:
            self._spool.put(f"{trial_id} epochs", partial(self._flush, trial_id))
            self._flushed[trial_id] = now

    def log_report(self, files: Mapping[str, bytes], note: str) -> None:
        """Have a report's files put on the parent run, and its verdict as the description; returns at once."""
        self._spool.put("report", partial(log_report, self._config, files, note))

    def wait(self, patience: float = PATIENCE) -> int:
        """Wait until everything is logged, or nothing has been for `patience` seconds; how much is still behind.

        Raises:
            StorageError: a write failed, and not because of MLflow.
        """
        behind = self._spool.wait(patience)
        self._spool.check()
        return behind

    @property
    def waiting(self) -> int:
        """How much is not logged yet."""
        return self._spool.waiting

    @property
    def trouble(self) -> str:
        """Why the last write failed; empty if it did not."""
        return self._spool.reason

    def finish(self, stopped: str = "") -> int:
        """Close the parent run, and with a stopped sweep the runs of trials that were cut; wait for all of it.

        Args:
            stopped: with which of MLflow's states, KILLED or FAILED, a sweep ends that did not get to its end.

        Returns:
            How much is still behind.

        Raises:
            StorageError: a write failed, and not because of MLflow. A stopped sweep has its own end to tell: one that
                failed ends in that error's words or another's; where it was killed, the write counts as behind.
        """
        for trial_id in [trial_id for trial_id, epochs in list(self._unlogged.items()) if epochs]:
            self._spool.put(f"{trial_id} epochs", partial(self._flush, trial_id))
        self._spool.put("sweep", partial(self._finish, stopped))
        if stopped:
            behind = self._spool.wait(SHORT_PATIENCE)
            return behind + self._spool.given_up if stopped == "KILLED" else behind
        return self.wait(SHORT_PATIENCE if self.trouble else PATIENCE)

    def _finish(self, stopped: str) -> None:
        states = self._store.states(list(self._specs.values()))
        for trial_id, logged in self._logged.items():
            if stopped and states.get(trial_id) not in _FINAL and logged.status == "RUNNING":
                self._client.set_terminated(logged.run_id, "KILLED")
        counts = {state.value: list(states.values()).count(state) for state in TrialState}
        self._client.log_batch(
            self.parent_run_id,
            metrics=[Metric(f"trials/{name}", count, milliseconds(time.time()), 0) for name, count in counts.items()],
        )
        failed = TrialState.FAILED in states.values()
        self._client.set_terminated(self.parent_run_id, stopped or ("FAILED" if failed else "FINISHED"))

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(self._config.name)
        if found is not None and found.lifecycle_stage != "active":
            raise UsageError(
                f"tracking: experiment {self._config.name!r} at {self._config.shown_tracking} was deleted in MLflow; "
                f"`mlflow experiments restore -x {found.experiment_id}` brings it back, or give the sweep another name"
            )
        if found is not None:
            return str(found.experiment_id)
        # Without this tag the UI opens the experiment in its view for generative AI.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        return str(
            self._client.create_experiment(
                self._config.name, artifact_location=artifact_location(self._config), tags=kind
            )
        )

    def _search(self, wanted: str) -> list[Run]:
        return search_runs(self._client, self.experiment_id, wanted)

    def _parent(self, existing: list[Run]) -> str:
        if existing:
            run_id = str(self._only(existing).info.run_id)
            self._client.update_run(run_id, status="RUNNING")
            return run_id
        tags = {
            **self._origin,
            MLFLOW_RUN_NAME: f"sweep {self._config.name}",
            schema.TAG_KIND: schema.KIND_SWEEP,
        }
        return str(self._client.create_run(self.experiment_id, tags=tags).info.run_id)

    def _one_a_trial(self, runs: Iterable[Run]) -> dict[str, _Logged]:
        """The run of each trial."""
        found: dict[str, list[Run]] = defaultdict(list)
        for run in runs:
            found[run.data.tags[schema.TAG_TRIAL_ID]].append(run)
        return {trial_id: _Logged.of(self._only(same, self._store.trial(trial_id))) for trial_id, same in found.items()}

    def _only(self, runs: list[Run], trial: TrialFolder | None = None) -> Run:
        """Of several runs of the same thing the one that the store names, else the first; the others are deleted.

        Several are made by what this driver can't see: a proxy that repeats a request, a database put back from a
        backup, a run copied by hand. Each would count once more in every correlation.
        """
        first, *others = sorted(runs, key=lambda run: int(run.info.start_time))
        if not others:
            return first
        named = trial.read_run_id(self._config.shown_tracking) if trial else None
        kept = next((run for run in runs if run.info.run_id == named), first)
        for run in runs:
            if run is not kept:
                self._client.delete_run(run.info.run_id)
        return kept

    def _run(self, trial_id: str) -> _Logged:
        """The run of a trial; looked for, then created, the first time it is asked for."""
        if trial_id not in self._logged:
            found = self._search(f"tags.`{schema.TAG_TRIAL_ID}` = '{trial_id}'")
            trial = self._store.trial(trial_id)
            run = self._only(found, trial) if found else self._create(trial_id)
            trial.write_run_id(self._config.shown_tracking, str(run.info.run_id))
            self._logged[trial_id] = _Logged.of(run)
        logged = self._logged[trial_id]
        if not logged.described:
            parameters = [Param(name, str(value)) for name, value in self._specs[trial_id].parameters().items()]
            self._client.log_inputs(logged.run_id, datasets=[dataset_input(self._config)])
            self._client.log_batch(logged.run_id, params=parameters)
            logged.described = True
        return logged

    def _create(self, trial_id: str) -> Run:
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
        return self._client.create_run(self.experiment_id, tags=tags)

    def _is_recorded(self, trial_id: str, state: TrialState) -> bool:
        logged = self._logged.get(trial_id)
        if logged is None or logged.tags.get(schema.TAG_STATE) != state.value:
            return False
        if logged.status != _FINAL.get(state, logged.status):
            return False
        if logged.tags.get(TAG_CHECKPOINT, self._checkpoint(trial_id)) != self._checkpoint(trial_id):
            return False  # the storage has moved
        return logged.tags.get(schema.TAG_MEASUREMENT_ID, "") in ("", self._store.measurement_id)

    def _checkpoint(self, trial_id: str) -> str:
        return (self._store.trial(trial_id).folder / LAST_CHECKPOINT).uri

    def _flush(self, trial_id: str) -> None:
        """Log the epochs of a running trial that were not logged yet; nothing where all are, as after its end."""
        epochs = list(self._unlogged.get(trial_id, ()))
        if not epochs:
            return
        logged = self._run(trial_id)
        if logged.status != "RUNNING":
            self._client.update_run(logged.run_id, status="RUNNING")
            logged.status = "RUNNING"
        self._log_metrics(logged.run_id, of_epochs(epochs))
        del self._unlogged[trial_id][: len(epochs)]

    def _sync(self, trial_id: str) -> None:
        """Bring a trial's run to what the store says of it; if that fails half way, look there before the next try."""
        try:
            self._write(trial_id)
        except Exception:
            self._logged.pop(trial_id, None)
            raise

    def _write(self, trial_id: str) -> None:
        """Log what a trial's run lacks. The state's tag comes last: it says that all is logged."""
        state = self._store.state(trial_id)
        logged = self._run(trial_id)
        trial = self._store.trial(trial_id)
        metrics: list[Metric] = []
        tags = {schema.TAG_STATE: state.value}
        if state in (TrialState.TRAINED, TrialState.MEASURED):
            trained = trial.read_trained()
            if logged.tags.get(schema.TAG_STATE) not in (TrialState.TRAINED, TrialState.MEASURED):
                metrics += of_trained(trained)
            self._unlogged.pop(trial_id, None)
            tags[MLFLOW_RUN_NOTE] = trial_note(self._specs[trial_id], trained, trial.folder)
            tags[TAG_CHECKPOINT] = self._checkpoint(trial_id)
        if state is TrialState.MEASURED:
            folder = self._store.measurement(trial_id)
            files = {name: folder.read(name) for name in (schema.MEASUREMENTS_FILE, schema.SPECTRA_FILE)}
            log_files(self._client, logged.run_id, files)
            record = json.loads(folder.read(MEASURED_FILE))
            metrics += of_measurement(trained.generalization, record, files[schema.MEASUREMENTS_FILE])
            tags[schema.TAG_MEASUREMENT_ID] = self._store.measurement_id
        if state is TrialState.FAILED:
            self._flush(trial_id)
            failure = self._store.failure(trial_id)
            tags[schema.TAG_REASON] = failure.reason
            tags[MLFLOW_RUN_NOTE] = f"Failed in {failure.stage}: {failure.reason}\n\n```\n{failure.traceback}\n```"
        elif schema.TAG_REASON in logged.tags:
            self._client.delete_tag(logged.run_id, schema.TAG_REASON)
            del logged.tags[schema.TAG_REASON]
        self._log_metrics(logged.run_id, metrics)
        if state in _FINAL:
            self._client.set_terminated(logged.run_id, _FINAL[state])
            logged.status = _FINAL[state]
        self._client.log_batch(logged.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        logged.tags |= {name: value for name, value in tags.items() if name in _COMPARED}

    def _log_metrics(self, run_id: str, metrics: list[Metric]) -> None:
        for start in range(0, len(metrics), BATCH):
            self._client.log_batch(run_id, metrics=metrics[start : start + BATCH])


def log_report(config: SweepConfig, files: Mapping[str, bytes], note: str, folder: str | None = None) -> None:
    """Put a report's files on the sweep's parent run; without a folder, its verdict as the description too.

    Raises:
        UsageError: the tracking address can't be used.
    """
    with answering(config):
        client = open_client(config)
        key = experiment_id(config.tracking_uri, config.name)
        for run in search_runs(client, key, f"tags.`{schema.TAG_KIND}` = '{schema.KIND_SWEEP}'"):
            log_files(client, run.info.run_id, files, folder)
            if folder is None:
                client.set_tag(run.info.run_id, MLFLOW_RUN_NOTE, note)


def log_files(client: MlflowClient, run_id: str, files: Mapping[str, bytes], folder: str | None = None) -> None:
    """Log files as artifacts of a run."""
    with tempfile.TemporaryDirectory(prefix="renyi-log-") as scratch:
        for name, data in files.items():
            (Path(scratch) / name).write_bytes(data)
        client.log_artifacts(run_id, scratch, folder)


def _kind(run: Run) -> str | None:
    kind: str | None = run.data.tags.get(schema.TAG_KIND)
    return kind
