"""The executor without Ray: trains and measures one trial after another, for tests and debugging."""

import socket
from collections.abc import Generator, Iterator

from orchestrator.config.sweep_config import MemoryShare, SweepConfig
from orchestrator.display import announced
from orchestrator.events import EpochsDone, Event, TrialFailed, TrialMeasured, TrialStarted, TrialTrained
from orchestrator.executors.watched_actor import WatchedActor
from orchestrator.store.plan import Work
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.processes.worker import Worker
from trainables.training.watched import train_watched
from trainables.trial.specs import TrialSpec


class InlineExecutor:
    """Trains and measures in one worker beside this process, so that no network can end or hold the sweep."""

    def __init__(self, config: SweepConfig, store: TrialStore) -> None:
        self._store = store
        self._data = config.data
        self._system_metrics = config.system_metrics
        self._threads = config.resources.trial.threads
        self._worker = Worker(shown=True)
        self._actor = WatchedActor(
            self._worker,
            store.folder.uri,
            config.sharpness,
            self._threads,
            config.data,
            store.shifts,
            MemoryShare(config.resources.pool.memory_gib),
        )
        self._node = socket.gethostname()

    def run(self, work: Work) -> Generator[Event, None, None]:
        """Train and measure each trial before the next one starts."""
        try:
            # Data that can't be read are one error, not one error a trial.
            with announced("reading the data"):
                list(self._worker.run("trainables.training.work.prepare_data", self._data))
            yield from self._run(work)
        finally:
            self._worker.close()

    def _run(self, work: Work) -> Iterator[Event]:
        for spec in [*work.to_measure, *work.to_shift]:
            yield self._measure(spec)
        for spec in work.to_train:
            trial_id = spec.trial_id
            yield TrialStarted(trial_id, self._node)
            trial = self._store.trial(trial_id)
            for metrics in train_watched(self._worker, spec, trial, self._threads, self._system_metrics):
                yield EpochsDone(trial_id, [metrics])
            if self._store.state(trial_id) is TrialState.FAILED:
                yield TrialFailed(trial_id, self._node)
            else:
                yield TrialTrained(trial_id, self._node)
                yield self._measure(spec)

    def _measure(self, spec: TrialSpec) -> Event:
        measured = self._actor.measure(spec)
        return TrialMeasured(spec.trial_id) if measured else TrialFailed(spec.trial_id, self._node)
