"""The run of each trial in MLflow, brought to what the store says of the trial."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from analysis import schema
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.trial_store import TrialState, TrialStore
from orchestrator.tracking.client import log_files
from orchestrator.tracking.datasets import dataset_input
from orchestrator.tracking.description import (
    TAG_CHECKPOINT,
    origin_tags,
    trained_by_tags,
    trial_note,
    trial_tags,
)
from orchestrator.tracking.experiment import Experiment
from orchestrator.tracking.metrics import linked, milliseconds, of_epochs, of_measurement, of_outcome, of_shifts
from orchestrator.tracking.models import CheckpointModels
from orchestrator.tracking.parent import changed_tags, keep_one
from orchestrator.tracking.shown_files import measurements_csv, spectrum_png
from trainables.trial.folder import LAST_CHECKPOINT, MEASURED_FILE, EpochMetrics, read_json
from trainables.trial.specs import TrialSpec

SEPARATOR = ", "  # of the shifts in their tag
BATCH = 1000  # metrics in one request, MLflow's limit
TAG_RECORD = "renyi.record"
RECORD = "2"  # what a run shows of its trial; a run of another number is brought up to date
_COMPARED = (
    *(schema.TAG_STATE, schema.TAG_REASON, schema.TAG_MEASUREMENT_ID, schema.TAG_SHIFTS),
    *(TAG_CHECKPOINT, TAG_RECORD),
)
_FINAL = {TrialState.MEASURED: "FINISHED", TrialState.FAILED: "FAILED"}


@dataclass
class _Logged:
    """What MLflow has of a trial's run, as far as this driver knows: enough to see what must still be written."""

    run_id: str
    status: str
    tags: dict[str, str]  # those in _COMPARED
    described: bool  # its parameters are there

    @classmethod
    def of(cls, run: Run) -> "_Logged":
        tags = {name: run.data.tags[name] for name in _COMPARED if name in run.data.tags}
        return cls(run.info.run_id, run.info.status, tags, bool(run.data.params))


class TrialRuns:
    """The runs of a sweep's trials. Every call may be repeated: a run is looked for before it is created, and points
    carry the store's timestamps, so that a point which is logged twice is one point."""

    def __init__(
        self, experiment: Experiment, config: SweepConfig, store: TrialStore, specs: Sequence[TrialSpec]
    ) -> None:
        self._experiment = experiment
        self._client = experiment.client
        self._config = config
        self._store = store
        self._specs = {spec.trial_id: spec for spec in specs}
        self._origin = origin_tags(config)
        self._unlogged: dict[str, list[EpochMetrics]] = defaultdict(list)
        by_trial: dict[str, list[Run]] = defaultdict(list)
        for run in experiment.trial_runs:
            by_trial[run.data.tags[schema.TAG_TRIAL_ID]].append(run)
        kept = {trial_id: self._keep_one(trial_id, runs) for trial_id, runs in by_trial.items()}
        self._logged = {trial_id: _Logged.of(run) for trial_id, run in kept.items()}
        self._models = CheckpointModels(experiment.client, experiment.experiment_id)
        changed = {trial_id: self._changed_tags(run) for trial_id, run in kept.items() if trial_id in self._specs}
        self.with_other_tags = [trial_id for trial_id, tags in changed.items() if tags]  # than the file has now

    def is_up_to_date(self, trial_id: str, state: TrialState) -> bool:
        """Whether the run of a trial in this state shows all that the store has."""
        logged = self._logged.get(trial_id)
        if logged is None or logged.tags.get(schema.TAG_STATE) != state.value:
            return False
        if logged.status != _FINAL.get(state, logged.status):
            return False
        if logged.tags.get(TAG_CHECKPOINT, self._checkpoint(trial_id)) != self._checkpoint(trial_id):
            return False  # the storage has moved
        if state in (TrialState.TRAINED, TrialState.MEASURED) and logged.tags.get(TAG_RECORD) != RECORD:
            return False  # an earlier version logged it
        if state is TrialState.MEASURED and not self._has_shifts(trial_id, logged):
            return False
        return logged.tags.get(schema.TAG_MEASUREMENT_ID, "") in ("", self._store.measurement_id)

    def tag(self, trial_id: str) -> None:
        """Give a trial's run the tags that the file has now, and the parent run of its settings."""
        if trial_id in self._logged:  # else its run is looked for when there is more to log
            tags = {**self._config.tags, MLFLOW_PARENT_RUN_ID: self._experiment.parent_run_id}
            run_tags = [RunTag(name, text) for name, text in tags.items()]
            self._client.log_batch(self._logged[trial_id].run_id, tags=run_tags)

    def _changed_tags(self, run: Run) -> list[RunTag]:
        parent = self._experiment.parent_run_id
        moved = run.data.tags.get(MLFLOW_PARENT_RUN_ID) != parent
        return [*changed_tags(run, self._config), *([RunTag(MLFLOW_PARENT_RUN_ID, parent)] if moved else [])]

    def _has_shifts(self, trial_id: str, logged: _Logged) -> bool:
        """Whether a run shows the shifts that the sweep asks for, as far as the store has them."""
        shown = logged.tags.get(schema.TAG_SHIFTS, "").split(SEPARATOR)
        unseen = [shift for shift in self._store.shifts if shift not in shown]
        return not unseen or set(unseen) <= set(self._store.missing_shifts(trial_id))

    def add_epochs(self, trial_id: str, epochs: Sequence[EpochMetrics]) -> None:
        """Keep epochs of a running trial until `log_epochs` logs them; sends nothing."""
        self._unlogged[trial_id] += epochs

    def with_unlogged_epochs(self) -> list[str]:
        """The trials that have epochs to be logged."""
        return [trial_id for trial_id, epochs in list(self._unlogged.items()) if epochs]

    def log_epochs(self, trial_id: str) -> None:
        """Log the epochs of a running trial that are not logged yet; none are left once its end has been logged."""
        epochs = list(self._unlogged.get(trial_id, ()))
        if not epochs:
            return
        logged = self._run(trial_id)
        if logged.status != "RUNNING":
            self._client.update_run(logged.run_id, status="RUNNING")
            logged.status = "RUNNING"
        self._log_metrics(logged.run_id, of_epochs(epochs))
        del self._unlogged[trial_id][: len(epochs)]

    def sync(self, trial_id: str) -> None:
        """Bring a trial's run to what the store says of it. If that fails half way, the next try reads the run anew."""
        try:
            self._write(trial_id)
        except Exception:
            self._logged.pop(trial_id, None)
            raise

    def close_sweep(self, stopped: str | None) -> None:
        """Close the parent run, with how many trials of the file are in each state, and how many other trials have runs
        under the sweep's name; of a sweep that ended early, also the runs of trials that were cut off.

        Args:
            stopped: MLflow's status for a sweep that ended early, KILLED or FAILED.
        """
        states = self._store.states(list(self._specs.values()))
        for trial_id, logged in self._logged.items():
            if stopped and states.get(trial_id) not in _FINAL and logged.status == "RUNNING":
                self._client.set_terminated(logged.run_id, "KILLED")
        counts = {state.value: list(states.values()).count(state) for state in TrialState}
        counts["others"] = len(self._logged.keys() - self._specs.keys())
        parent = self._experiment.parent_run_id
        self._client.log_batch(
            parent,
            metrics=[Metric(f"trials/{name}", count, milliseconds(time.time()), 0) for name, count in counts.items()],
        )
        failed = TrialState.FAILED in states.values()
        self._client.set_terminated(parent, stopped or ("FAILED" if failed else "FINISHED"))

    def _keep_one(self, trial_id: str, runs: Sequence[Run]) -> Run:
        named = self._store.trial(trial_id).read_run_id(self._config.shown_tracking) if len(runs) > 1 else None
        return keep_one(self._client, runs, named)

    def _run(self, trial_id: str) -> _Logged:
        """The run of a trial; the first time, it is looked for, then created."""
        if trial_id not in self._logged:
            found = self._experiment.search(f"tags.`{schema.TAG_TRIAL_ID}` = '{trial_id}'")
            run = self._keep_one(trial_id, found) if found else self._create(trial_id)
            self._store.trial(trial_id).write_run_id(self._config.shown_tracking, str(run.info.run_id))
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
            MLFLOW_PARENT_RUN_ID: self._experiment.parent_run_id,
            schema.TAG_KIND: schema.KIND_TRIAL,
            schema.TAG_TRIAL_ID: trial_id,
            schema.TAG_STATE: TrialState.TRAINING.value,
            **trial_tags(spec, self._config),
        }
        return self._client.create_run(self._experiment.experiment_id, tags=tags)

    def _checkpoint(self, trial_id: str) -> str:
        return (self._store.trial(trial_id).folder / LAST_CHECKPOINT).uri

    def _write(self, trial_id: str) -> None:
        """Log what a trial's run lacks. The state's tag comes last: it says that everything is logged."""
        state = self._store.state(trial_id)
        logged = self._run(trial_id)
        metrics: list[Metric] = []
        tags = {schema.TAG_STATE: state.value, TAG_RECORD: RECORD}
        if state in (TrialState.TRAINED, TrialState.MEASURED):
            metrics += self._training(trial_id, logged, tags)
        if state is TrialState.MEASURED:
            metrics += self._measurement(trial_id, logged, tags)
        if metrics:
            model = self._models.of_run(logged.run_id, self._specs[trial_id], self._checkpoint(trial_id))
            metrics = linked(metrics, model)
        if state is TrialState.FAILED:
            self.log_epochs(trial_id)
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

    def _training(self, trial_id: str, logged: _Logged, tags: dict[str, str]) -> list[Metric]:
        """The points of a trained trial: of epochs where its run lacks them, and its outcome. Adds what tags say."""
        trial = self._store.trial(trial_id)
        trained = trial.read_trained()
        self._unlogged.pop(trial_id, None)
        tags[MLFLOW_RUN_NOTE] = trial_note(self._specs[trial_id], trained, trial.folder)
        tags[TAG_CHECKPOINT] = self._checkpoint(trial_id)
        tags |= trained_by_tags(trial.read_code())
        shown = logged.tags.get(schema.TAG_STATE) in (TrialState.TRAINED, TrialState.MEASURED)
        return ([] if shown else of_epochs(trained.history)) + of_outcome(trained)

    def _measurement(self, trial_id: str, logged: _Logged, tags: dict[str, str]) -> list[Metric]:
        """Log the tables of a measured trial; the points of its run, under shifts too. Adds what tags say of it."""
        folder = self._store.measurement(trial_id)
        files = {name: folder.read(name) for name in (schema.MEASUREMENTS_FILE, schema.SPECTRA_FILE)}
        picture = spectrum_png(files[schema.SPECTRA_FILE])
        shown = {schema.READABLE_MEASUREMENTS_FILE: measurements_csv(files[schema.MEASUREMENTS_FILE])}
        shown |= {schema.SPECTRUM_FILE: picture} if picture is not None else {}
        log_files(self._client, logged.run_id, files | shown)
        tags[schema.TAG_MEASUREMENT_ID] = self._store.measurement_id
        record = read_json(folder, MEASURED_FILE)
        trial = self._store.trial(trial_id)
        result, shifts = trial.read_trained().generalization, trial.read_shifts()
        if shifts:
            tags[schema.TAG_SHIFTS] = SEPARATOR.join(shifts)
        return of_measurement(result, record, files[schema.MEASUREMENTS_FILE]) + of_shifts(result, shifts)

    def _log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        for start in range(0, len(metrics), BATCH):
            self._client.log_batch(run_id, metrics=metrics[start : start + BATCH])
