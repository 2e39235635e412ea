"""The Ray executor: missing trials go to a fresh Ray Tune `Tuner`, trained ones to the pool of measuring actors."""

import contextlib
import json
import os
import queue
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Generator, Iterator
from dataclasses import replace
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.events import (
    EpochsDone,
    Event,
    MeasuringStarted,
    NodeAvoided,
    PoolResized,
    TrialFailed,
    TrialLost,
    TrialStarted,
    TrialTrained,
    Work,
)
from orchestrator.executors.ray.circuit_breaker import CircuitBreaker
from orchestrator.executors.ray.nodes import avoiding, connect, leave, names_of_nodes, possible_nodes, present_nodes
from orchestrator.executors.ray.placement import place_largest_pool, place_pool
from orchestrator.executors.ray.pool import Ending, MeasuringPool
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.data.preparation import prepare_dataset
from trainables.errors import STORAGE_ERROR, StorageError
from trainables.trial.folder import EpochMetrics, Failure, write_failure
from trainables.trial.specs import TrialSpec

MAX_FAILURES = 3  # starts of a trial whose process or node was lost; errors of its own are recorded, not repeated
MAX_TUNERS = 3  # that may end and leave a trial untrained
POLL_SECONDS = 0.1
SECONDS_BETWEEN_LOOKS = 5.0  # at the nodes that there are
_UNTRAINED = (TrialState.PENDING, TrialState.TRAINING)
SECONDS_TO_END = 10  # for Tune to end its trials; each keeps its last checkpoint however it ends


class RayExecutor:
    """Trains and measures on a Ray cluster: the one at RAY_ADDRESS, or a local one made for this sweep."""

    def __init__(self, config: SweepConfig, store: TrialStore) -> None:
        self._config = config
        self._store = store
        self._breaker = CircuitBreaker()
        self._avoided: set[str] = set()
        self._suspects: set[str] = set()  # to be avoided from the next round on
        self._judged: set[str] = set()  # trials whose ending was heard of
        self._names: dict[str, str] = {}
        self._looked = time.monotonic()  # at the nodes
        self._tuners: Counter[str] = Counter()  # that ended and left a trial untrained
        self._specs: dict[str, TrialSpec] = {}

    def run(self, work: Work) -> Iterator[Event]:
        """Trials and measuring side by side; the pool is up before the first trial starts."""
        if "RAY_ADDRESS" not in os.environ:
            prepare_dataset(self._config.data)  # once, where its progress and its errors are seen
        connect()
        try:
            pool = self._open_pool()
            self._specs = {spec.trial_id: spec for spec in [*work.to_train, *work.to_measure]}
            for spec in work.to_measure:
                pool.submit(spec)
            to_train: list[TrialSpec] | None = work.to_train
            while to_train is not None:
                to_train = yield from self._round(to_train, pool)
        finally:
            leave()

    def _open_pool(self) -> MeasuringPool:
        config, resources = self._config, self._config.resources
        possible = possible_nodes()
        if possible is not None:
            place_pool(resources, possible)  # refuses what can never fit
        try:
            places = place_pool(resources, present_nodes())
        except UsageError:
            places = [""] * resources.pool.actors  # wherever the autoscaler makes room
        gpu = resources.trial.gpus > 0
        pool = MeasuringPool(self._store, config.sharpness, resources.pool, config.data, places, gpu)
        pool.wait_until_ready()
        return pool

    def _round(self, to_train: list[TrialSpec], pool: MeasuringPool) -> Generator[Event, None, list[TrialSpec] | None]:
        """Run one Tuner, and the pool with it, to their end: None; or what is left for another Tuner.

        That is what had not ended when a node came to be avoided: Tune can't be told of it half way, and needn't be, as
        trials go on from their checkpoints. And it is trials that Tune gave up without cause.
        """
        tuning = Tuning(self._config, self._store, to_train, self._avoided)
        ended = False
        try:
            while tuning.alive or pool.busy:
                yield from self._trained(tuning, pool, timeout=POLL_SECONDS)
                for event in pool.collect(timeout=0 if tuning.alive else POLL_SECONDS):
                    yield self._named(event)
                self._judge(pool.endings)
                yield from self._keep_room(pool)
                if not tuning.alive:
                    self._judge(tuning.endings)
                if self._suspects:
                    tuning.stop()
                    yield from self._trained(tuning, pool, timeout=0)
                    self._judge(tuning.endings)
                    yield from self._avoid(pool)
                    return (yield from self._left(to_train, pool))
                if not ended and not tuning.alive:
                    ended = True
                    again = yield from self._given_up(to_train, pool)
                    if again:
                        return again
        finally:
            tuning.stop()
        return None

    def _keep_room(self, pool: MeasuringPool) -> Iterator[Event]:
        """Make the pool smaller where nodes were lost for good, and larger when they are back.

        Ray starts lost actors again wherever there is room; together they could take all that is left, and the trials
        would wait for ever. What an autoscaler may still bring counts as there.
        """
        if time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        possible = possible_nodes()
        if possible is None:
            return
        places = place_largest_pool(
            self._config.resources, [node for node in possible if node.node_id not in self._avoided]
        )
        if places and pool.resize(places):
            yield PoolResized(len(places))

    def _given_up(self, specs: list[TrialSpec], pool: MeasuringPool) -> Generator[Event, None, list[TrialSpec]]:
        """What a Tuner left untrained when it ended, to be tried again, but for what is tried too often."""
        again = []
        for spec in (yield from self._left(specs, pool)):
            self._tuners[spec.trial_id] += 1
            if self._tuners[spec.trial_id] < MAX_TUNERS:
                again.append(spec)
                continue
            reason = f"Ray Tune gave it up {MAX_TUNERS} times, after its process or its node was lost"
            write_failure(self._store.trial(spec.trial_id).folder, Failure("training", reason))
            yield TrialFailed(spec.trial_id)
        return again

    def _left(self, specs: list[TrialSpec], pool: MeasuringPool) -> Generator[Event, None, list[TrialSpec]]:
        """What is still to be trained. A trial that ended just as its Tuner was stopped was not heard of: where it is
        trained it goes to the pool, where it failed, on a node that may be to blame, it is tried again."""
        untrained = []
        for spec in specs:
            state = self._store.state(spec.trial_id)
            if state is TrialState.FAILED and spec.trial_id not in self._judged:
                self._store.forget_failure(spec.trial_id)
                untrained.append(spec)
            elif state in _UNTRAINED:
                untrained.append(spec)
            elif state is TrialState.TRAINED and not pool.knows(spec.trial_id):
                pool.submit(spec)
                yield TrialTrained(spec.trial_id)
        return untrained

    def _trained(self, tuning: "Tuning", pool: MeasuringPool, timeout: float) -> Iterator[Event]:
        """What has happened in training; what is trained goes to the pool."""
        for event in tuning.collect(timeout):
            if isinstance(event, TrialTrained):
                pool.submit(self._specs[event.trial_id])
            yield self._named(event)
            self._judge(tuning.endings)  # at once: a node on which trials fail quickly takes them all
            if self._suspects and timeout:
                return

    def _named(self, event: Event) -> Event:
        """The event with its node's name in place of its id."""
        if isinstance(event, TrialStarted | TrialLost | MeasuringStarted):
            return replace(event, node=self._name(event.node))
        return event

    def _name(self, node: str) -> str:
        if node not in self._names:
            self._names = names_of_nodes()
        return self._names.get(node, node)

    def _judge(self, endings: "deque[Ending]") -> None:
        """Learn from endings which nodes to avoid, if the sweep can go on without them."""
        while endings:
            ending = endings.popleft()
            self._judged.add(ending.trial_id)
            node = ending.node
            if not node or node in self._avoided:
                continue
            if ending.succeeded:
                self._breaker.succeeded(node)
            elif self._breaker.failed(node, ending.trial_id) and self._can_do_without(node):
                self._suspects.add(node)

    def _can_do_without(self, node: str) -> bool:
        try:
            place_pool(self._config.resources, present_nodes({*self._avoided, *self._suspects, node}))
        except UsageError:
            return False
        return True

    def _avoid(self, pool: MeasuringPool) -> Iterator[Event]:
        """Take the suspects out of the sweep, and the failures they are blamed for out of the store."""
        suspects, self._suspects = self._suspects, set()
        self._avoided |= suspects
        pool.avoid(self._avoided, place_pool(self._config.resources, present_nodes(self._avoided)))
        for node in suspects:
            blamed = [each for each in self._breaker.blamed(node) if self._store.state(each) is TrialState.FAILED]
            reason = self._store.failure(blamed[-1]).reason if blamed else ""
            for trial_id in blamed:
                self._store.forget_failure(trial_id)
                self._judged.discard(trial_id)
                if self._store.state(trial_id) is TrialState.TRAINED:
                    pool.submit(self._specs[trial_id])
            yield NodeAvoided(self._name(node), blamed, reason)


class Tuning:
    """A `Tuner.fit` in a thread of its own, whose callbacks become events."""

    def __init__(
        self, config: SweepConfig, store: TrialStore, specs: list[TrialSpec], avoided: Collection[str] = ()
    ) -> None:
        self._events: queue.Queue[Event] = queue.Queue()
        self.endings: deque[Ending] = deque()
        self._relay = _Relay(self._events, self.endings, store)
        self._error: BaseException | None = None
        arguments = (config, store, specs, avoided)
        self._thread = threading.Thread(target=self._fit, args=arguments, name="tune", daemon=True)
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
        ]  # as texts, since Tune copies the whole grid for every trial, to the last value inside
        bundle = {"CPU": resources.cpus, "GPU": resources.gpus}
        selector = avoiding(avoided)
        place = tune.PlacementGroupFactory([bundle], bundle_label_selector=[selector] if selector else None)
        try:
            with tempfile.TemporaryDirectory(prefix="renyi-tune-") as scratch:
                tune.Tuner(
                    tune.with_resources(_train, place),
                    param_space={"task": tune.grid_search(tasks)},
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

    def __init__(self, events: "queue.Queue[Event]", endings: "deque[Ending]", store: TrialStore) -> None:
        self._events = events
        self._endings = endings
        self._store = store
        self._stopped = threading.Event()
        self._where: dict[str, str] = {}  # trial → the node that trains it

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
        elif "node" in result:
            self._where[_trial_id(trial)] = result["node"]
            self._events.put(TrialStarted(_trial_id(trial), result["node"]))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        trial_id = _trial_id(trial)
        # Also called for trials removed while pending: only what the store says counts.
        match self._store.state(trial_id):
            case TrialState.TRAINED | TrialState.MEASURED:
                self._events.put(TrialTrained(trial_id))
                self._end(trial_id, succeeded=True)
            case TrialState.FAILED:
                self._fail(trial_id)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        self._lose(_trial_id(trial))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        trial_id = _trial_id(trial)
        if trial.num_failures <= MAX_FAILURES:  # Tune gives up at once a trial of whose loss it hears twice
            self._lose(trial_id)
            return
        reason = f"its process was lost {MAX_FAILURES + 1} times: {trial.get_error() or 'no reason given'}"
        failure = Failure("training", reason.splitlines()[0], reason)
        write_failure(self._store.trial(trial_id).folder, failure)
        self._fail(trial_id)

    def _lose(self, trial_id: str) -> None:
        self._events.put(TrialLost(trial_id, self._where.get(trial_id, "")))

    def _fail(self, trial_id: str) -> None:
        self._events.put(TrialFailed(trial_id))
        self._end(trial_id, succeeded=False)

    def _end(self, trial_id: str, succeeded: bool) -> None:
        self._endings.append(Ending(self._where.pop(trial_id, ""), trial_id, succeeded))


def _train(config: dict[str, Any]) -> None:
    from trainables.trainable import trainable  # torch is for the workers: it would double the driver's memory

    trainable(json.loads(config["task"]))


def _trial_id(trial: Trial) -> str:
    return str(json.loads(trial.config["task"])["trial_id"])
