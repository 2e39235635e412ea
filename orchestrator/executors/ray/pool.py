"""The pool of measuring actors on a Ray cluster, fed from a queue in this process."""

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from analysis.settings import SharpnessSettings
from orchestrator.config.sweep_config import PoolResources
from orchestrator.events import Event, MeasuringEnded, MeasuringStarted, TrialFailed, TrialMeasured
from orchestrator.executors.ray.nodes import avoiding
from orchestrator.executors.watched_actor import WatchedActor
from orchestrator.store.measurement import missing_parts
from orchestrator.store.tasks import ONLY_SHIFTS, MeasuringTask, divide
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.errors import StorageError
from trainables.processes.worker import Worker
from trainables.trial.folder import Failure, write_failure
from trainables.trial.specs import DataSpec, TrialSpec

MAX_DEATHS = 3  # of actors during the same task; then the task is at fault
ASSEMBLE = "assemble"


@dataclass(eq=False)
class _Member:
    """An actor of the pool, and the node that it last reported."""

    handle: Any
    node: str = ""


@dataclass
class _Trial:
    """A trial under measurement."""

    trial_id: str
    tasks: list[MeasuringTask]
    pending: int  # tasks that have not ended
    failed_on: str | None = None  # the node of the first task that failed


@dataclass(frozen=True)
class _Call:
    """A call to one actor: a task of a trial, or None to put the parts of its measurement together."""

    trial: _Trial
    task: MeasuringTask | None

    @property
    def name(self) -> str:
        return self.task.name if self.task else ASSEMBLE


@dataclass
class _Queue:
    """Waiting calls, in the order of the trials' arrival; within a trial, the longest task first."""

    _heap: list[tuple[int, float, int, _Call]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def put(self, arrival: int, call: _Call) -> None:
        seconds = call.task.seconds if call.task else float("inf")
        heapq.heappush(self._heap, (arrival, -seconds, next(self._numbers), call))

    def get(self) -> _Call:
        return heapq.heappop(self._heap)[3]

    def __len__(self) -> int:
        return len(self._heap)


class MeasuringPool:
    """Measuring actors that exist before any trial starts, with resources of their own, so that trials and actors never
    wait for each other for ever. Each actor has at most one call; all other calls wait here.

    Ray starts an actor that died again, wherever there is room, and its call is made again.
    """

    def __init__(
        self,
        store: TrialStore,
        settings: SharpnessSettings,
        resources: PoolResources,
        data: DataSpec,
        nodes: Sequence[str],
        gpu: bool = False,
    ) -> None:
        self._store, self._settings, self._resources, self._data, self._gpu = store, settings, resources, data, gpu
        self._idle: list[_Member] = []
        self._probing: dict[Any, _Member] = {}  # result reference → the actor that is to report its node
        self._running: dict[Any, tuple[_Member, _Call]] = {}
        self._queue = _Queue()
        self._arrivals: dict[str, int] = {}
        self._deaths: Counter[tuple[str, str]] = Counter()
        self._avoided: set[str] = set()
        self._events: deque[Event] = deque()
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
        trial = _Trial(trial_id, tasks, len(missing))
        self._arrivals.setdefault(trial_id, len(self._arrivals))
        for task in missing:
            self._queue.put(self._arrivals[trial_id], _Call(trial, task))
        if not missing:
            self._queue.put(self._arrivals[trial_id], _Call(trial, None))
        self._feed()

    def knows(self, trial_id: str) -> bool:
        """Whether the trial was submitted."""
        return trial_id in self._arrivals

    @property
    def busy(self) -> bool:
        """Whether calls are queued or running, or events have not been collected."""
        return bool(self._queue or self._running or self._events)

    def collect(self, timeout: float) -> Iterator[Event]:
        """The events so far, after waiting at most `timeout` seconds for the first."""
        waiting = [*self._running, *self._probing]
        if waiting and not self._events:
            done, _ = ray.wait(waiting, num_returns=1, timeout=timeout)
            for reference in done:
                if reference in self._probing:
                    self._probed(reference)
                else:
                    self._ended(reference)
        self._feed()
        while self._events:
            yield self._events.popleft()

    def avoid(self, avoided: Collection[str], nodes: Sequence[str]) -> None:
        """Move the actors from nodes that are avoided to others; their calls are made again there.

        Args:
            avoided: the nodes without actors from now on.
            nodes: the node of each actor.
        """
        self._avoided |= set(avoided)
        for member in self._members:
            if member.node in avoided:
                self._drop(member)
        self.resize(nodes)

    def resize(self, nodes: Sequence[str]) -> bool:
        """Have one actor for each entry of `nodes`, there if possible; whether their number changed.

        A smaller pool drops actors that are lost or have not started yet first, then idle ones.
        """
        members = self._members
        for member in members[len(nodes) :]:
            self._drop(member)
        free = Counter(nodes) - Counter(member.node for member in members)
        for node in list(free.elements())[: max(0, len(nodes) - len(members))]:
            self._start(node)
        return len(members) != len(nodes)

    @property
    def _members(self) -> list[_Member]:
        """All actors: those with a call first, those that are still starting last."""
        return [*(member for member, _ in self._running.values()), *self._idle, *self._probing.values()]

    def _drop(self, member: _Member) -> None:
        ray.kill(member.handle)
        self._idle = [other for other in self._idle if other is not member]
        self._probing = {reference: other for reference, other in self._probing.items() if other is not member}
        for reference, (other, call) in list(self._running.items()):
            if other is member:
                del self._running[reference]
                self._put_back(member, call)

    def _start(self, node: str) -> None:
        """Start an actor on a node; if that is gone, or empty, wherever there is room."""
        strategy = NodeAffinitySchedulingStrategy(node, soft=True) if node else "SPREAD"
        actor_class = ray.remote(MeasuringActor).options(
            num_cpus=self._resources.cpus,
            num_gpus=self._resources.gpus,
            max_restarts=-1,
            scheduling_strategy=strategy,
            label_selector=avoiding(self._avoided),
        )
        store = self._store
        handle = actor_class.remote(store.folder.uri, self._settings, self._resources.threads, self._data, store.shifts)
        self._probe(_Member(handle))

    def _probe(self, member: _Member) -> None:
        self._probing[member.handle.node.remote()] = member

    def _probed(self, reference: Any) -> None:
        member = self._probing.pop(reference)
        try:
            member.node = ray.get(reference)
        except ray.exceptions.RayError:
            self._probe(member)
        else:
            self._idle.append(member)

    def _ended(self, reference: Any) -> None:
        member, call = self._running.pop(reference)
        trial_id = call.trial.trial_id
        try:
            succeeded = ray.get(reference)
        except StorageError as error:  # no fault of the trial; the text of Ray's copy is a traceback
            raise error.cause from error  # type: ignore[attr-defined]
        except ray.exceptions.RayError as error:
            self._probe(member)
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
            self._idle.append(member)
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
            self._queue.put(self._arrivals[trial.trial_id], _Call(trial, None))

    def _put_back(self, member: _Member, call: _Call) -> None:
        self._events.append(MeasuringEnded(call.trial.trial_id, member.node, call.name, succeeded=False))
        if self._is_complete(call.trial.trial_id):  # it died after its last write
            self._events.append(TrialMeasured(call.trial.trial_id))
        else:
            self._queue.put(self._arrivals[call.trial.trial_id], call)

    def _is_complete(self, trial_id: str) -> bool:
        return self._store.state(trial_id) is TrialState.MEASURED and not self._store.missing_shifts(trial_id)

    def _feed(self) -> None:
        while self._queue and self._idle:
            member, call = self._idle.pop(), self._queue.get()
            self._running[self._make(member.handle, call)] = (member, call)
            self._events.append(MeasuringStarted(call.trial.trial_id, member.node, call.name))

    @staticmethod
    def _make(actor: Any, call: _Call) -> Any:
        trial = call.trial
        if call.task is None:
            return actor.assemble.remote(trial.trial_id, trial.tasks)
        if len(trial.tasks) == 1:
            return actor.measure.remote(trial.trial_id)
        return actor.measure_part.remote(trial.trial_id, call.task)


class MeasuringActor:
    """A measuring actor that reports its node. A worker beside it does what may hang or end its process."""

    def __init__(
        self, store_folder: str, settings: SharpnessSettings, threads: int, data: DataSpec, shifts: tuple[str, ...]
    ) -> None:
        self._actor = WatchedActor(Worker(), store_folder, settings, threads, data, shifts)

    def measure(self, trial_id: str) -> bool:
        """As `SharpnessActor` does."""
        return self._actor.measure(trial_id)

    def measure_part(self, trial_id: str, task: MeasuringTask) -> bool:
        """As `SharpnessActor` does."""
        return self._actor.measure_part(trial_id, task)

    def assemble(self, trial_id: str, tasks: Sequence[MeasuringTask]) -> bool:
        """As `SharpnessActor` does."""
        return self._actor.assemble(trial_id, tasks)

    @ray.method(max_task_retries=-1)
    def node(self) -> str:
        """The id of its node."""
        node_id: str = ray.get_runtime_context().get_node_id()
        return node_id
