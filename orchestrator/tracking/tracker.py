"""The record in MLflow: one run for each trial under one parent run for the sweep. Only the driver writes it."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from mlflow import MlflowClient

from analysis.errors import AnalysisError
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import DefectError, UsageError
from orchestrator.events import EpochsDone, TrialEvent
from orchestrator.store.trial_store import TrialState, TrialStore
from orchestrator.tracking.experiment import open_experiment, write_report
from orchestrator.tracking.parent import describe_parent
from orchestrator.tracking.protocol import LoggedReport, Stopped
from orchestrator.tracking.retry_queue import RetryQueue
from orchestrator.tracking.run import TrialRuns
from orchestrator.tracking.trouble import keep_traceback, may_pass
from trainables.errors import TrainingError
from trainables.trial.machine import THIS_MACHINE, Machine
from trainables.trial.specs import TrialSpec

SECONDS_BETWEEN_FLUSHES = 20.0  # of a running trial's epochs
PATIENCE = 60.0  # seconds without a success after which the end of a sweep no longer waits for MLflow
SHORT_PATIENCE = 10.0  # the same, where the sweep was stopped, or has waited in vain before
_STATUS = {Stopped.INTERRUPTED: "KILLED", Stopped.FAILED: "FAILED"}

logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # a traceback for each busy moment


class MLflowTracker:
    """Keeps a sweep's record in MLflow, by jobs in a queue that repeats what MLflow can't do at the moment.

    See `Tracker` for what it promises. `RetryQueue` repeats what fails while the driver lives; a later driver logs what
    this one could not (`reconcile`). A mistake in a program is not repeated: it ends the sweep.
    """

    def __init__(
        self,
        config: SweepConfig,
        store: TrialStore,
        specs: Sequence[TrialSpec],
        on_trouble: Callable[[str], None] = lambda _: None,
        on_recovery: Callable[[], None] = lambda: None,
        client: MlflowClient | None = None,
        machine: Machine = THIS_MACHINE,
    ) -> None:
        """Open the sweep's experiment and its parent run.

        Args:
            config, store, specs: the sweep.
            on_trouble: called with the reason when a write fails for the first time after a success.
            on_recovery: called when a write succeeds again.
            client: of the sweep's tracking address, if there is one already.
            machine: whose clock and threads are used.

        Raises:
            UsageError: the tracking address can't be used.
        """
        # The queue repeats what fails, after looking at what is there. MLflow's own repeats look at nothing: a request
        # whose answer was lost would make a second run, and one that waits would hold up all others for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        self._config = config
        self._flushed: dict[str, float] = {}
        experiment = open_experiment(config, client)
        self.experiment_id = experiment.experiment_id
        self.parent_run_id = experiment.parent_run_id
        self._client = experiment.client
        self._runs = TrialRuns(experiment, config, store, specs)
        self._folder = store.folder
        self._queue = RetryQueue(on_trouble, on_recovery, may_pass, machine)
        self._machine = machine

    def reconcile(self, states: Mapping[str, TrialState], progress: Callable[[str], None] = lambda _: None) -> None:
        """Log every trial whose run shows less than the store: what an earlier driver did not live to log."""
        describe = partial(describe_parent, self._client, self.parent_run_id, self._config)
        self._queue.put("settings", describe)
        for trial_id in self._runs.with_other_tags:
            self._queue.put(f"{trial_id} tags", partial(self._runs.tag, trial_id))
        for trial_id, state in states.items():
            if state in (TrialState.PENDING, TrialState.TRAINING) or self._runs.is_up_to_date(trial_id, state):
                continue
            progress(trial_id)
            self._queue.put(trial_id, partial(self._runs.sync, trial_id))

    def record(self, event: TrialEvent) -> None:
        """Log what has just happened, epochs only every SECONDS_BETWEEN_FLUSHES; returns at once."""
        self._check()
        trial_id = event.trial_id
        if not isinstance(event, EpochsDone):
            self._queue.put(trial_id, partial(self._runs.sync, trial_id))
            return
        self._runs.add_epochs(trial_id, event.epochs)
        now = self._machine.monotonic()
        if now - self._flushed.setdefault(trial_id, now) > SECONDS_BETWEEN_FLUSHES:
            self._flush(trial_id)
            self._flushed[trial_id] = now

    def log_report(self, report: LoggedReport) -> None:
        """Put a report on the parent run; returns at once."""
        self._queue.put("report", partial(write_report, self._config, report))

    def wait(self, patience: float = PATIENCE) -> int:
        """Wait until all is logged, or until nothing was for `patience` seconds; how many writes are still pending."""
        pending = self._queue.wait(patience)
        self._check()
        return pending

    def finish(self, stopped: Stopped | None = None) -> int:
        """Close the parent run, and the runs of trials that were cut off; how many writes are still pending."""
        for trial_id in self._runs.with_unlogged_epochs():
            self._flush(trial_id)
        self._queue.put("sweep", partial(self._runs.close_sweep, _STATUS[stopped] if stopped else None))
        if stopped is None:
            return self.wait(SHORT_PATIENCE if self.trouble else PATIENCE)
        pending = self._queue.wait(SHORT_PATIENCE)
        return pending + self._queue.given_up if stopped is Stopped.INTERRUPTED else pending

    @property
    def waiting(self) -> int:
        """How many writes are pending now."""
        return self._queue.waiting

    @property
    def trouble(self) -> str:
        """Why the last write failed; empty if it succeeded."""
        return self._queue.reason

    def _check(self) -> None:
        """Raise the error that no repetition mends, if there was one; of a defect, the traceback goes to a file."""
        try:
            self._queue.check()
        except (AnalysisError, TrainingError, UsageError):  # told in a line of their own
            raise
        except Exception as error:
            kept = keep_traceback(self._folder, error)
            raise DefectError(
                f"the sweep was stopped by a defect in what writes to MLflow ({self._queue.reason}); its traceback is "
                f"in {kept}. All finished work is kept: `renyi report {self._config.typed} --source store` reads it"
            ) from error

    def _flush(self, trial_id: str) -> None:
        self._queue.put(f"{trial_id} epochs", partial(self._runs.log_epochs, trial_id))
