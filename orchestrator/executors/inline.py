"""The in-process executor: trains and measures one trial after another, for tests and debugging."""

import socket
from collections.abc import Generator

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.events import EpochsDone, Event, TrialFailed, TrialMeasured, TrialStarted, TrialTrained
from orchestrator.executors.actor import SharpnessActor
from orchestrator.store.plan import Work
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.data import load_dataset
from trainables.training.device import default_device
from trainables.training.loop import attempt
from trainables.trial.specs import TrialSpec


class InlineExecutor:
    """Trains and measures without Ray."""

    def __init__(self, config: SweepConfig, store: TrialStore) -> None:
        self._store = store
        self._data = config.data
        self._system_metrics = config.system_metrics
        self._actor = SharpnessActor(
            store.folder.uri, config.sharpness, config.resources.trial.threads, config.data, store.shifts
        )
        self._device = default_device()
        self._node = socket.gethostname()

    def run(self, work: Work) -> Generator[Event, None, None]:
        """Train and measure each trial before the next one starts."""
        load_dataset(self._data)  # data that can't be read is one error, not one error a trial
        for spec in [*work.to_measure, *work.to_shift]:
            yield self._measure(spec)
        for spec in work.to_train:
            yield TrialStarted(spec.trial_id, self._node)
            for metrics in attempt(spec, self._store.trial(spec.trial_id), self._device, self._system_metrics):
                yield EpochsDone(spec.trial_id, [metrics])
            if self._store.state(spec.trial_id) is TrialState.FAILED:
                yield TrialFailed(spec.trial_id, self._node)
            else:
                yield TrialTrained(spec.trial_id, self._node)
                yield self._measure(spec)

    def _measure(self, spec: TrialSpec) -> Event:
        measured = self._actor.measure(spec.trial_id)
        return TrialMeasured(spec.trial_id) if measured else TrialFailed(spec.trial_id, self._node)
