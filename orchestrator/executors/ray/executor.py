"""The Ray executor: missing trials go to a fresh Ray Tune `Tuner`, trained ones to the pool of measuring actors."""

import os
import time
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import replace

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import announced, say
from orchestrator.errors import UsageError
from orchestrator.events import (
    Event,
    MeasuringEnded,
    MeasuringStarted,
    NodeAvoided,
    PoolResized,
    TrialFailed,
    TrialLost,
    TrialStarted,
    TrialTrained,
)
from orchestrator.executors.ray.autosize import AutoSize
from orchestrator.executors.ray.circuit_breaker import CircuitBreaker
from orchestrator.executors.ray.nodes import connect, leave, names_of_nodes, possible_nodes, present_nodes
from orchestrator.executors.ray.placement import check_fit, place_largest_pool, place_pool
from orchestrator.executors.ray.pool import MeasuringPool
from orchestrator.executors.ray.tuner import Tuning
from orchestrator.intervals import EVENTS, NODES
from orchestrator.own_code import own_code
from orchestrator.store.cost import longest_first
from orchestrator.store.plan import Work
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.training.watched import prepare_watched
from trainables.trial.folder import Failure, write_failure
from trainables.trial.specs import TrialSpec

MAX_TUNERS = 3  # that may end without having trained a trial
_UNTRAINED = (TrialState.PENDING, TrialState.TRAINING)


class RayExecutor:
    """Trains and measures on a Ray cluster: the one at RAY_ADDRESS, or a local one made for this sweep."""

    def __init__(self, config: SweepConfig, store: TrialStore) -> None:
        self._config = config
        self._store = store
        self._breaker = CircuitBreaker()
        self._avoided: set[str] = set()
        self._suspects: set[str] = set()  # to be avoided from the next round on
        self._judged: set[str] = set()  # trials whose end was reported by an event
        self._names: dict[str, str] = {}
        self._looked = time.monotonic()  # when the nodes were last listed
        self._tuners: Counter[str] = Counter()  # trial → Tuners that ended without having trained it
        self._specs: dict[str, TrialSpec] = {}
        self._auto = AutoSize(config.resources) if config.resources.pool.actors == "auto" else None

    def run(self, work: Work) -> Generator[Event, None, None]:
        """Train and measure side by side; a pool of fixed size is up before the first trial starts."""
        if not os.environ.get("RAY_ADDRESS"):
            with announced("reading the data"):
                prepare_watched(self._config.data)  # once, in the process whose output and errors are seen
        with announced("starting Ray"):
            connect(own_code(self._config))
        try:
            with announced("starting measuring actors"):
                pool = self._open_pool()
            say("Ray is up; its workers import torch before the first trial trains")
            self._specs = {spec.trial_id: spec for spec in work.trials}
            for spec in [*work.to_measure, *work.to_shift]:
                pool.submit(spec)
            # With the longest last, many nodes would wait for one.
            to_train: list[TrialSpec] | None = longest_first(work.to_train, self._config.resources.trial.gpus > 0)
            while to_train is not None:
                to_train = yield from self._round(to_train, pool)
        finally:
            leave()

    def _open_pool(self) -> MeasuringPool:
        config, resources = self._config, self._config.resources
        possible = possible_nodes()
        if possible is not None:
            check_fit(resources, possible)  # refuses what can never fit
        gpu = resources.trial.gpus > 0
        if resources.pool.actors == "auto":
            return MeasuringPool(self._store, config.sharpness, resources.pool, config.data, gpu=gpu, sizing=self._auto)
        try:
            nodes = place_pool(resources, present_nodes())
        except UsageError:
            nodes = [""] * resources.pool.actors  # wherever the autoscaler makes room
        pool = MeasuringPool(self._store, config.sharpness, resources.pool, config.data, nodes, gpu)
        pool.wait_until_ready()
        return pool

    def _round(self, to_train: list[TrialSpec], pool: MeasuringPool) -> Generator[Event, None, list[TrialSpec] | None]:
        """Run one Tuner and the pool to their end.

        Returns:
            The trials for another Tuner: those that had not ended when a node came to be avoided, which a running Tuner
            can't take into account (they go on from their checkpoints), and those that Tune gave up without cause.
            None if nothing remains to be done.
        """
        tuning = Tuning(self._config, self._store, to_train, self._avoided)
        if self._auto is not None:
            self._auto.tuning = tuning
        ended = False
        try:
            while tuning.alive or pool.busy:
                yield from self._trained(tuning, pool, timeout=EVENTS)
                for event in pool.collect(timeout=0 if tuning.alive else EVENTS):
                    yield self._named(event)
                    self._judge(event)
                yield from self._keep_room(pool)
                if self._suspects:
                    tuning.stop()
                    yield from self._trained(tuning, pool, timeout=0)
                    yield from self._avoid(pool)
                    return (yield from self._still_untrained(to_train, pool))
                if not ended and not tuning.alive:
                    ended = True
                    again = yield from self._given_up(to_train, pool)
                    if again:
                        return again
        finally:
            tuning.stop()
        return None

    def _keep_room(self, pool: MeasuringPool) -> Iterator[Event]:
        """Make a pool of fixed size smaller where nodes were lost for good, and larger when they are back.

        Ray starts lost actors again wherever there is room. Together they could fill the whole cluster, and the trials
        would wait for ever. Nodes that an autoscaler may still add count as present.
        """
        if self._auto is not None or time.monotonic() - self._looked < NODES:
            return
        self._looked = time.monotonic()
        possible = possible_nodes()
        if possible is None:
            return
        placed = place_largest_pool(
            self._config.resources, [node for node in possible if node.node_id not in self._avoided]
        )
        if placed and pool.resize(placed):
            yield PoolResized(len(placed))

    def _given_up(self, specs: list[TrialSpec], pool: MeasuringPool) -> Generator[Event, None, list[TrialSpec]]:
        """The trials that a Tuner had not trained when it ended; those given up too often are marked as failed."""
        again = []
        for spec in (yield from self._still_untrained(specs, pool)):
            self._tuners[spec.trial_id] += 1
            if self._tuners[spec.trial_id] < MAX_TUNERS:
                again.append(spec)
                continue
            reason = f"Ray Tune gave up the trial {MAX_TUNERS} times, after its process or its node was lost"
            write_failure(self._store.trial(spec.trial_id).folder, Failure("training", reason))
            yield TrialFailed(spec.trial_id)
        return again

    def _still_untrained(self, specs: list[TrialSpec], pool: MeasuringPool) -> Generator[Event, None, list[TrialSpec]]:
        """The trials that must still be trained.

        A trial that ended just as its Tuner was stopped had no event. If it is trained, it goes to the pool. If it
        failed, its node may be to blame, so it is tried again.
        """
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
        """The events of training so far; trials that are trained go to the pool."""
        for event in tuning.collect(timeout):
            if isinstance(event, TrialTrained):
                pool.submit(self._specs[event.trial_id])
            yield self._named(event)
            self._judge(event)  # at once: a node on which trials fail quickly takes them all
            if self._suspects and timeout:
                return

    def _named(self, event: Event) -> Event:
        """The event with its node's name in place of its id."""
        match event:
            case TrialStarted() | TrialLost() | TrialTrained() | TrialFailed() | MeasuringStarted() | MeasuringEnded():
                return replace(event, node=self._name(event.node))
        return event

    def _name(self, node: str) -> str:
        if node and node not in self._names:
            self._names = names_of_nodes()
        return self._names.get(node, node)

    def _judge(self, event: Event) -> None:
        """Learn from how work ended which nodes to avoid, if the sweep can go on without them."""
        match event:
            case TrialTrained(trial_id, node) | MeasuringEnded(trial_id, node, succeeded=True):
                failed = False
            case TrialFailed(trial_id, node):
                failed = True
            case _:
                return
        self._judged.add(trial_id)
        if not node or node in self._avoided:
            return
        if not failed:
            self._breaker.succeeded(node)
        elif self._breaker.failed(node, trial_id) and self._can_do_without(node):
            self._suspects.add(node)

    def _can_do_without(self, node: str) -> bool:
        try:
            check_fit(self._config.resources, present_nodes({*self._avoided, *self._suspects, node}))
        except UsageError:
            return False
        return True

    def _avoid(self, pool: MeasuringPool) -> Iterator[Event]:
        """Take the suspects out of the sweep, and remove the failures that count against them from the store."""
        suspects, self._suspects = self._suspects, set()
        self._avoided |= suspects
        if self._auto is not None:
            self._auto.avoided = self._avoided
            pool.avoid(self._avoided, None)
        else:
            pool.avoid(self._avoided, place_pool(self._config.resources, present_nodes(self._avoided)))
        for node in suspects:
            blamed = [each for each in self._breaker.blamed(node) if self._store.state(each) is TrialState.FAILED]
            reason = self._store.failure(blamed[-1]).reason if blamed else ""
            for trial_id in blamed:
                self._store.forget_failure(trial_id)
                self._judged.discard(trial_id)
                if self._store.state(trial_id) not in _UNTRAINED:
                    pool.submit(self._specs[trial_id])
            yield NodeAvoided(self._name(node), blamed, reason)
