"""The pool of measuring actors on a Ray cluster, fed from a queue in this process."""

import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from analysis.settings import SharpnessSettings
from orchestrator.config.sweep_config import PoolResources
from orchestrator.events import Event, MeasuringEnded, MeasuringStarted, TrialFailed, TrialMeasured
from orchestrator.executors.ray.measuring_actor import ActorKind, Member
from orchestrator.executors.ray.sizing import Decision
from orchestrator.executors.ray.snapshot import Actor, ActorState, Demand
from orchestrator.executors.ray.task_queue import TaskQueue
from orchestrator.intervals import SIZE
from orchestrator.store.measurement import missing_parts
from orchestrator.store.tasks import ONLY_SHIFTS, MeasuringTask, divide
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.errors import StorageError
from trainables.trial.folder import Failure, write_failure
from trainables.trial.specs import DataSpec, TrialSpec

MAX_DEATHS = 3  # of actors during the same task; then the task is at fault
ASSEMBLE = "assemble"


@dataclass
class _Trial:
    """A trial under measurement."""

    spec: TrialSpec
    tasks: list[MeasuringTask]
    pending: int  # tasks that have not ended
    failed_on: str | None = None  # the node of the first task that failed

    @property
    def trial_id(self) -> str:
        return self.spec.trial_id


@dataclass(frozen=True)
class _Call:
    """A call to one actor: a task of a trial, or None to put the parts of its measurement together."""

    trial: _Trial
    task: MeasuringTask | None

    @property
    def name(self) -> str:
        return self.task.name if self.task else ASSEMBLE


Sizing = Callable[[Sequence[Actor], Demand], Decision]


class MeasuringPool:
    """Measuring actors and what they do. Each actor has at most one call; all other calls wait here.

    A pool of fixed size exists before any trial starts, with resources of its own. Ray starts an actor of it that died
    again, wherever there is room. A pool of no fixed size asks `sizing` which actors to start and to give back, before
    it hands out calls; an actor that died is forgotten. In both, the call of a lost actor is made again.
    """

    def __init__(
        self,
        store: TrialStore,
        settings: SharpnessSettings,
        resources: PoolResources,
        data: DataSpec,
        nodes: Sequence[str] = (),
        gpu: bool = False,
        sizing: Sizing | None = None,
    ) -> None:
        """A pool.

        Args:
            store, settings, resources, data: what is measured, how, with what.
            nodes: the node of each actor of a pool of fixed size.
            gpu: whether actors have GPUs, which tells how long tasks take.
            sizing: decides about a pool of no fixed size.
        """
        self._store, self._settings, self._gpu, self._sizing = store, settings, gpu, sizing
        self._kind = ActorKind(store, settings, resources, data)
        self._keys = itertools.count()
        self._idle: list[Member] = []
        self._probing: dict[Any, Member] = {}  # result reference → the actor that is to report its place
        self._running: dict[Any, tuple[Member, _Call]] = {}
        self._queue: TaskQueue[_Call] = TaskQueue()
        self._arrivals: dict[str, int] = {}
        self._deaths: Counter[tuple[str, str]] = Counter()
        self._avoided: set[str] = set()
        self._events: deque[Event] = deque()
        self._sized = float("-inf")  # when the size was last decided on, if nothing has changed since
        self._longest_first = False
        for node in nodes:
            self._start(node)

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Whether every actor is up, after waiting at most `timeout` seconds."""
        ready, waiting = ray.wait(list(self._probing), num_returns=len(self._probing), timeout=timeout)
        for reference in ready:
            self._probed(reference)
        return not waiting and not self._probing

    def submit(self, spec: TrialSpec) -> None:
        """Queue what is missing of a trained trial's measurement, and its shifts; returns at once."""
        trial_id = spec.trial_id
        measured = self._store.state(trial_id) is TrialState.MEASURED
        tasks = [ONLY_SHIFTS] if measured else divide(spec, self._settings, self._gpu)
        missing = tasks if len(tasks) == 1 else missing_parts(self._store.measurement(trial_id), tasks)
        trial = _Trial(spec, tasks, len(missing))
        self._arrivals.setdefault(trial_id, len(self._arrivals))
        for task in missing:
            self._put(_Call(trial, task))
        if not missing:
            self._put(_Call(trial, None))

    def _put(self, call: _Call) -> None:
        seconds = call.task.seconds if call.task else float("inf")  # what ends a trial goes first
        self._queue.put(call, self._arrivals[call.trial.trial_id], seconds)
        self._changed()

    def knows(self, trial_id: str) -> bool:
        """Whether the trial was submitted."""
        return trial_id in self._arrivals

    @property
    def busy(self) -> bool:
        """Whether calls are queued or running, or events have not been collected."""
        return bool(len(self._queue) or self._running or self._events)

    def collect(self, timeout: float) -> Iterator[Event]:
        """The events so far, after waiting at most `timeout` seconds for the first."""
        self._feed()
        waiting = [*self._running, *self._probing]
        if waiting and not self._events:
            done, _ = ray.wait(waiting, num_returns=1, timeout=timeout)
            for reference in done:
                if reference in self._probing:
                    self._probed(reference)
                else:
                    self._ended(reference)
            self._feed()
        elif timeout and not self._events:
            time.sleep(timeout)  # until there is room for an actor
        while self._events:
            yield self._events.popleft()

    def avoid(self, avoided: Collection[str], nodes: Sequence[str] | None) -> None:
        """Move the actors from nodes that are avoided to others; their calls are made again there.

        Args:
            avoided: the nodes without actors from now on.
            nodes: the node of each actor; None for a pool of no fixed size.
        """
        self._avoided |= set(avoided)
        for member in self._members:
            if member.node in avoided:
                self._drop(member)
        if nodes is not None:
            self.resize(nodes)

    def resize(self, nodes: Sequence[str]) -> bool:
        """In a pool of fixed size, have one actor for each entry of `nodes`, there if possible.

        A smaller pool drops actors that are lost or have not started yet first, then idle ones.

        Returns:
            Whether their number changed.
        """
        members = self._members
        for member in members[len(nodes) :]:
            self._drop(member)
        free = Counter(nodes) - Counter(member.node for member in members)
        for node in list(free.elements())[: max(0, len(nodes) - len(members))]:
            self._start(node)
        return len(members) != len(nodes)

    @property
    def _members(self) -> list[Member]:
        """All actors: those with a call first, those that are still starting last."""
        return [*(member for member, _ in self._running.values()), *self._idle, *self._probing.values()]

    def _drop(self, member: Member) -> None:
        ray.kill(member.handle)
        self._forget(member)
        for reference, (other, call) in list(self._running.items()):
            if other is member:
                del self._running[reference]
                self._put_back(member, call)

    def _forget(self, member: Member) -> None:
        self._idle = [other for other in self._idle if other is not member]
        self._probing = {reference: other for reference, other in self._probing.items() if other is not member}
        self._changed()

    def _start(self, node: str, gpus: float | None = None) -> None:
        handle = self._kind.start(node, self._avoided, gpus)
        known = node if self._sizing else ""
        self._probe(Member(next(self._keys), handle, known, gpus=gpus, since=time.monotonic()))

    def _probe(self, member: Member) -> None:
        self._probing[member.handle.place.remote()] = member

    def _probed(self, reference: Any) -> None:
        member = self._probing.pop(reference)
        try:
            member.node, gpu = ray.get(reference)
        except ray.exceptions.RayError as error:
            if getattr(error, "actor_init_failed", False):
                raise error
            self._lost(member)
        else:
            member.gpu = gpu
            self._is_idle(member)

    def _is_idle(self, member: Member) -> None:
        member.since = time.monotonic()
        self._idle.append(member)
        self._changed()

    def _lost(self, member: Member) -> None:
        """What follows the death of an actor: Ray starts it again, or it is forgotten. Others may have died with it."""
        if self._sizing is None:
            self._probe(member)
            return
        idle, self._idle = self._idle, []
        for other in idle:
            self._probe(other)
        self._changed()

    def _changed(self) -> None:
        self._sized = float("-inf")

    def _resize(self) -> None:
        """Let `sizing` decide, at every change and at times without one; carry out what it says."""
        members = self._members
        if self._sizing is None or not (members or len(self._queue)) or time.monotonic() - self._sized < SIZE:
            return
        now = time.monotonic()
        self._sized = now
        by_key = {member.key: member for member in members}
        busy = {member.key for member, _ in self._running.values()}
        starting = {member.key for member in self._probing.values()}
        actors = [
            Actor(
                member.key,
                member.node,
                ActorState.BUSY if key in busy else ActorState.STARTING if key in starting else ActorState.IDLE,
                member.gpu,
                idle_seconds=now - member.since,
                gpus=member.gpus,
            )
            for key, member in by_key.items()
        ]
        decision = self._sizing(actors, Demand(tasks=len(self._queue), task_seconds=self._queue.seconds))
        self._longest_first = decision.longest_first
        for key in decision.give_back - busy:
            self._drop(by_key[key])
        for node in decision.start:
            self._start(node, decision.gpus)
        self._sized = now

    def _ended(self, reference: Any) -> None:
        member, call = self._running.pop(reference)
        trial_id = call.trial.trial_id
        try:
            succeeded = ray.get(reference)
        except StorageError as error:  # no fault of the trial; the text of Ray's copy is a traceback
            raise error.cause from error  # type: ignore[attr-defined]
        except ray.exceptions.RayError as error:
            self._lost(member)
            self._deaths[trial_id, call.name] += 1
            if self._deaths[trial_id, call.name] < MAX_DEATHS:
                self._put_back(member, call)
                return
            succeeded = False
            reason = f"the task {call.name} ended its process {MAX_DEATHS} times: {str(error).splitlines()[0]}"
            if self._store.state(trial_id) is TrialState.MEASURED:
                write_failure(self._store.trial(trial_id).shifts, Failure("shifts", reason))
            else:
                write_failure(self._store.measurement(trial_id), Failure("measuring", reason))
        else:
            self._is_idle(member)
        self._events.append(MeasuringEnded(trial_id, member.node, call.name, succeeded))
        if not succeeded and call.trial.failed_on is None:
            call.trial.failed_on = member.node
        self._advance(call)

    def _advance(self, call: _Call) -> None:
        """Do what follows the end of a call: nothing yet, the assembly of the parts, or the end of the trial."""
        trial = call.trial
        trial.pending -= call.task is not None
        if trial.pending:
            return
        if trial.failed_on is not None:
            self._events.append(TrialFailed(trial.trial_id, trial.failed_on))
        elif call.task is None or len(trial.tasks) == 1:
            self._events.append(TrialMeasured(trial.trial_id))
        else:
            self._put(_Call(trial, None))

    def _put_back(self, member: Member, call: _Call) -> None:
        self._events.append(MeasuringEnded(call.trial.trial_id, member.node, call.name, succeeded=False))
        if self._is_complete(call.trial.trial_id):  # it died after its last write
            self._events.append(TrialMeasured(call.trial.trial_id))
        else:
            self._put(call)

    def _is_complete(self, trial_id: str) -> bool:
        return self._store.state(trial_id) is TrialState.MEASURED and not self._store.missing_shifts(trial_id)

    def _feed(self) -> None:
        """Hand out calls: first where a GPU has nothing to do, and elsewhere only if no more actors are coming up."""
        self._resize()
        busy: Counter[tuple[str, str | None]] = Counter(
            (member.node, member.gpu) for member, _ in self._running.values() if member.gpu is not None
        )
        while len(self._queue) and self._idle:
            member = min(self._idle, key=lambda member: busy[member.node, member.gpu])
            if busy[member.node, member.gpu] and self._probing:
                return
            self._idle.remove(member)
            busy[member.node, member.gpu] += member.gpu is not None
            call = self._queue.get(self._longest_first)
            self._running[self._make(member.handle, call)] = (member, call)
            self._events.append(MeasuringStarted(call.trial.trial_id, member.node, call.name))

    @staticmethod
    def _make(actor: Any, call: _Call) -> Any:
        trial = call.trial
        if call.task is None:
            return actor.assemble.remote(trial.spec, trial.tasks)
        if len(trial.tasks) == 1:
            return actor.measure.remote(trial.spec)
        return actor.measure_part.remote(trial.spec, call.task)
