"""The Ray executor: missing trials go to a fresh Ray Tune `Tuner`, trained ones to the pool of measuring actors."""

import contextlib
import logging
import os
import queue
import signal
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial

from orchestrator.config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.events import EpochsDone, Event, TrialFailed, TrialTrained, Work
from orchestrator.measuring import MeasuringPool
from orchestrator.trial_store import TrialState, TrialStore
from trainables.data import load_dataset
from trainables.errors import StorageError
from trainables.specs import TrialSpec
from trainables.trainable import STORAGE_ERROR, trainable
from trainables.trial_folder import EpochMetrics, Failure, write_failure

MAX_FAILURES = 3  # starts of a trial whose process or node was lost; errors of its own are recorded, not repeated
POLL_SECONDS = 0.1


class RayExecutor:
    """Trains and measures on a Ray cluster: the one at RAY_ADDRESS, or a local one made for this sweep."""

    def __init__(self, config: SweepConfig, store: TrialStore) -> None:
        self._config = config
        self._store = store

    def run(self, work: Work) -> Iterator[Event]:
        """Trials and measuring side by side; the pool is up before the first trial starts."""
        if "RAY_ADDRESS" not in os.environ:
            load_dataset(self._config.data)  # once, where its progress and its errors are seen
        connect()
        try:
            check_resources(self._config, ray.cluster_resources())
            pool = MeasuringPool(self._store, self._config.sharpness, self._config.resources.pool, self._config.data)
            pool.wait_until_ready()
            for spec in work.to_measure:
                pool.submit(spec.trial_id)
            yield from self._run(work.to_train, pool)
        finally:
            ray.shutdown()

    def _run(self, to_train: list[TrialSpec], pool: MeasuringPool) -> Iterator[Event]:
        tuning = Tuning(self._config, self._store, to_train)
        try:
            while tuning.alive or pool.busy:
                for event in tuning.collect(timeout=POLL_SECONDS):
                    if isinstance(event, TrialTrained):
                        pool.submit(event.trial_id)
                    yield event
                yield from pool.collect(timeout=0 if tuning.alive else POLL_SECONDS)
        finally:
            tuning.stop()


class Tuning:
    """A `Tuner.fit` in a thread of its own, whose callbacks become events."""

    def __init__(self, config: SweepConfig, store: TrialStore, specs: list[TrialSpec]) -> None:
        self._events: queue.Queue[Event] = queue.Queue()
        self._relay = _Relay(self._events, store)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._fit, args=(config, store, specs), name="tune", daemon=True)
        if specs:
            self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether trials are still running, or events of theirs have not been collected."""
        return self._thread.is_alive() or not self._events.empty() or self._error is not None

    def collect(self, timeout: float) -> Iterator[Event]:
        """Events so far, waiting at most `timeout` seconds for the first."""
        if not self.alive:
            return
        with contextlib.suppress(queue.Empty):
            yield self._events.get(timeout=timeout)
            while True:
                yield self._events.get_nowait()
        if self._error is not None and not self._thread.is_alive():
            error, self._error = self._error, None
            raise error

    def stop(self) -> None:
        """End the trials that still run; each keeps its last checkpoint."""
        self._relay.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=20)

    def _fit(self, config: SweepConfig, store: TrialStore, specs: list[TrialSpec]) -> None:
        resources = config.resources.trial
        trials = [
            {
                "trial": spec.model_dump(mode="json"),
                "trial_id": spec.trial_id,
                "folder": store.trial(spec.trial_id).folder.uri,
                "threads": resources.threads,
            }
            for spec in specs
        ]
        try:
            with tempfile.TemporaryDirectory(prefix="renyi-tune-") as scratch:
                tune.Tuner(
                    tune.with_resources(_train, {"cpu": resources.cpus, "gpu": resources.gpus}),
                    param_space={"task": tune.grid_search(trials)},
                    tune_config=tune.TuneConfig(reuse_actors=True, trial_dirname_creator=_trial_id),
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


def _storage_error(error: BaseException | None) -> StorageError | None:
    """What Tune wraps in an error of its own when a callback raises it."""
    while error is not None and not isinstance(error, StorageError):
        error = error.__cause__ or error.__context__
    return error


class SweepStoppedError(Exception):
    """Raised inside Tune's loop to end it."""


class _Relay(tune.Callback):
    """Turns what Tune tells into events; never blocks."""

    def __init__(self, events: "queue.Queue[Event]", store: TrialStore) -> None:
        self._events = events
        self._store = store
        self._stopped = threading.Event()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore that is never asked for, and queues can't be pickled."""
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

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        trial_id = _trial_id(trial)
        # Also called for trials removed while pending: only what the store says counts.
        match self._store.state(trial_id):
            case TrialState.TRAINED | TrialState.MEASURED:
                self._events.put(TrialTrained(trial_id))
            case TrialState.FAILED:
                self._events.put(TrialFailed(trial_id))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        trial_id = _trial_id(trial)
        reason = f"its process was lost {MAX_FAILURES + 1} times: {trial.get_error() or 'no reason given'}"
        failure = Failure("training", reason.splitlines()[0], reason)
        write_failure(self._store.trial(trial_id).folder, failure)
        self._events.put(TrialFailed(trial_id))


def _train(config: dict[str, Any]) -> None:
    trainable(config["task"])


def _trial_id(trial: Trial) -> str:
    return str(trial.config["task"]["trial_id"])


def connect() -> None:
    """Join the cluster at RAY_ADDRESS, or start a quiet local one."""
    quiet = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_AUTO_CONNECT": "0",  # a thread that outlives the cluster must not start another
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow is the record; Tune's own CSV and JSON files cost memory
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "RAY_AIR_NEW_OUTPUT": "0",  # the new reporter prints a table even when told to be quiet
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    ray.init(
        address=os.environ.get("RAY_ADDRESS", "local"),
        log_to_driver=False,
        include_dashboard=False,
        configure_logging=True,
        logging_level=logging.ERROR,
    )
    signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own handler would abort without a word


def check_resources(config: SweepConfig, cluster: dict[str, float]) -> None:
    """Refuse what can't fit beside each other, before anything starts.

    Raises:
        UsageError: the numbers asked for and those there are.
    """
    pool, trial = config.resources.pool, config.resources.trial
    problems = []
    for name, key, of_pool, of_trial in (
        ("CPUs", "CPU", pool.actors * pool.cpus, trial.cpus),
        ("GPUs", "GPU", pool.actors * pool.gpus, trial.gpus),
    ):
        there = cluster.get(key, 0.0)
        if of_pool + of_trial > there:
            problems.append(
                f"resources: the pool ({pool.actors} actors) takes {of_pool:g} {name} and a trial {of_trial:g}, "
                f"together {of_pool + of_trial:g}; the cluster has {there:g}. Lower resources.pool or resources.trial"
            )
    if problems:
        raise UsageError(*problems)
