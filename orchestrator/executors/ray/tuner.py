"""One Ray Tune `Tuner` in a separate thread, whose callbacks become events."""

import contextlib
import json
import queue
import tempfile
import threading
from collections.abc import Collection, Iterator
from typing import Any

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial

from orchestrator.config.sweep_config import ProcessResources, SweepConfig
from orchestrator.events import EpochsDone, Event, TrialFailed, TrialLost, TrialStarted, TrialTrained
from orchestrator.executors.ray.nodes import avoiding
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.errors import STORAGE_ERROR, StorageError
from trainables.trial.folder import EpochMetrics, Failure, write_failure
from trainables.trial.specs import TrialSpec

MAX_FAILURES = 3  # restarts of a trial whose process or node was lost; a trial's own errors are recorded, not repeated
# Tune would put these of the driver into its actors' runtime environment, which Ray writes into its logs.
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
SECONDS_TO_END = 10  # for Tune to end its trials; each keeps its last checkpoint however it ends


class Tuning:
    """A running `Tuner.fit`, and the events that its callbacks put into a queue."""

    def __init__(
        self, config: SweepConfig, store: TrialStore, specs: list[TrialSpec], avoided: Collection[str] = ()
    ) -> None:
        self._events: queue.Queue[Event] = queue.Queue()
        self._relay = _Relay(self._events, store)
        self._error: BaseException | None = None
        self._trials = len(specs)
        arguments = (config, store, specs, avoided)
        self._thread = threading.Thread(target=self._fit, args=arguments, name="tune", daemon=True)
        if specs:
            self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether trials are still running, or events or an error have not been collected."""
        return self._thread.is_alive() or not self._events.empty() or self._error is not None

    @property
    def untrained(self) -> int:
        """How many trials have not ended; those of a Tuner that has ended will not be trained by it."""
        return max(0, self._trials - len(self._relay.ended)) if self._thread.is_alive() else 0

    def collect(self, timeout: float) -> Iterator[Event]:
        """The events so far, after waiting at most `timeout` seconds for the first."""
        if not self.alive:
            return
        with contextlib.suppress(queue.Empty):
            yield self._events.get(timeout=timeout) if timeout else self._events.get_nowait()
            while True:
                yield self._events.get_nowait()
        if self._error is not None and not self._thread.is_alive():
            error, self._error = self._error, None
            raise error

    def stop(self) -> None:
        """End the trials that still run; each keeps its last checkpoint."""
        self._relay.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=SECONDS_TO_END)

    def _fit(self, config: SweepConfig, store: TrialStore, specs: list[TrialSpec], avoided: Collection[str]) -> None:
        resources = config.resources.trial
        tasks = [
            json.dumps(
                {
                    "trial": spec.model_dump(mode="json"),
                    "trial_id": spec.trial_id,
                    "folder": store.trial(spec.trial_id).folder.uri,
                    "threads": resources.threads,
                    "system_metrics": config.system_metrics,
                }
            )
            for spec in specs
        ]  # as strings, since Tune copies the whole grid for every trial, every value in it included
        class_cache.ENV_VARS_TO_PROPAGATE.difference_update(CREDENTIALS)  # every node has its own
        selector = avoiding(avoided)
        placement = tune.PlacementGroupFactory(
            [bundle_of(resources)], bundle_label_selector=[selector] if selector else None
        )
        try:
            with tempfile.TemporaryDirectory(prefix="renyi-tune-") as scratch:
                tune.Tuner(
                    tune.with_resources(_train, placement),
                    param_space={"task": tune.grid_search(tasks)},
                    tune_config=tune.TuneConfig(
                        reuse_actors=True,
                        trial_dirname_creator=_trial_id,
                        max_concurrent_trials=config.resources.max_concurrent,
                    ),
                    run_config=tune.RunConfig(
                        name=config.name,
                        storage_path=scratch,
                        callbacks=[self._relay],
                        failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
                        verbose=0,
                    ),
                ).fit()
        except SweepStoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the thread that runs the sweep
            self._error = _storage_error(error) or error


def bundle_of(resources: ProcessResources) -> dict[str, float]:
    """A trial's resources as Ray counts them."""
    return {"CPU": resources.cpus, "GPU": resources.gpus}


def _storage_error(error: BaseException | None) -> StorageError | None:
    """The StorageError of a callback, inside the error that Tune wraps around it."""
    while error is not None and not isinstance(error, StorageError):
        error = error.__cause__ or error.__context__
    return error


class SweepStoppedError(Exception):
    """Raised inside Tune's loop to end it."""


class _Relay(tune.Callback):
    """Turns Tune's callbacks into events; never blocks."""

    def __init__(self, events: "queue.Queue[Event]", store: TrialStore) -> None:
        self._events = events
        self._store = store
        self._stopped = threading.Event()
        self.ended: set[str] = set()  # trials that are trained or have failed
        self._nodes: dict[str, str] = {}  # trial → the node that trains it

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore that never happens, and queues can't be pickled."""
        return {}

    def stop(self) -> None:
        self._stopped.set()

    def on_step_begin(self, iteration: int, trials: list[Trial], **_: Any) -> None:
        if self._stopped.is_set():
            raise SweepStoppedError

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        if STORAGE_ERROR in result:
            raise StorageError(result[STORAGE_ERROR])
        if "epochs" in result:
            epochs = [EpochMetrics(**epoch) for epoch in result["epochs"]]
            self._events.put(EpochsDone(_trial_id(trial), epochs))
        elif "node" in result:
            self._nodes[_trial_id(trial)] = result["node"]
            self._events.put(TrialStarted(_trial_id(trial), result["node"]))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        trial_id = _trial_id(trial)
        # Also called for trials removed while pending: only what the store says counts.
        match self._store.state(trial_id):
            case TrialState.TRAINED | TrialState.MEASURED:
                self.ended.add(trial_id)
                self._events.put(TrialTrained(trial_id, self._nodes.pop(trial_id, "")))
            case TrialState.FAILED:
                self._fail(trial_id)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        self._lose(_trial_id(trial))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        trial_id = _trial_id(trial)
        if trial.num_failures <= MAX_FAILURES:  # Tune gives up a trial at once if its loss is reported twice
            self._lose(trial_id)
            return
        reason = f"its process was lost {MAX_FAILURES + 1} times: {trial.get_error() or 'no reason given'}"
        failure = Failure("training", reason.splitlines()[0], reason)
        write_failure(self._store.trial(trial_id).folder, failure)
        self._fail(trial_id)

    def _lose(self, trial_id: str) -> None:
        self._events.put(TrialLost(trial_id, self._nodes.get(trial_id, "")))

    def _fail(self, trial_id: str) -> None:
        self.ended.add(trial_id)
        self._events.put(TrialFailed(trial_id, self._nodes.pop(trial_id, "")))


def _train(config: dict[str, Any]) -> None:
    from trainables.trainable import trainable

    trainable(json.loads(config["task"]))


def _trial_id(trial: Trial) -> str:
    return str(json.loads(trial.config["task"])["trial_id"])
