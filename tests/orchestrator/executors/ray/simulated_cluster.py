"""A cluster in which nothing runs: trials, a pool and nodes that come and go, second by second of simulated time.

Ray's part is played as it was seen: a trial that waits takes room as soon as there is some, on any node; a fraction of
a GPU is taken where the least is left that suffices, and no sum over GPUs replaces a whole one; actors take seconds to
start, and one whose room was taken meanwhile waits for it. What decides about the pool sees only what Ray tells.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.config.sweep_config import ProcessResources, Resources
from orchestrator.executors.ray.placement import Node
from orchestrator.executors.ray.sizing import LONG_IDLE, decide
from orchestrator.executors.ray.snapshot import Actor, ActorState, Demand, survey, with_gpus
from orchestrator.executors.ray.task_queue import TaskQueue

START_SECONDS = 10.0  # of an actor
LOOK_SECONDS = 5.0  # between two decisions while nothing ends
STUCK_SECONDS = 10.0
EPS, INF = 1e-6, float("inf")


@dataclass(frozen=True)
class SimulatedTrial:
    """What a trial takes on resources of its own."""

    train: float  # seconds; 0 if it was trained before
    tasks: tuple[float, ...]  # of one GPU, or one core; actors on the same GPU share it
    arrives: float = 0.0  # later than at the start if another Tuner gave it up


@dataclass(eq=False)
class Process:
    """A trial in training, or an actor."""

    size: ProcessResources
    node: str
    part: int | None = None
    placed: bool = False


@dataclass(eq=False)
class SimulatedActor(Process):
    """An actor with the task that it does."""

    key: int = 0
    up: bool = False
    trial: int | None = None
    left: float = 0.0  # seconds of the task, on a GPU of its own
    began: float = 0.0
    idle_since: float = 0.0


@dataclass
class Simulation:
    """Runs a sweep to its end; `makespan` is when that was, `worst_wait` the longest that a trial waited for actors."""

    resources: Resources
    nodes: dict[str, Node]  # all that are ever there
    trials: Sequence[SimulatedTrial]
    moments: random.Random
    away: set[str] = field(default_factory=set)  # at present
    changes: Sequence[tuple[float, str, bool]] = ()  # when a node joins (True) or is lost
    look_seconds: float = LOOK_SECONDS
    makespan: float = 0.0
    worst_wait: float = 0.0
    longest_task: float = 0.0
    _now: float = 0.0
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self._free = {name: node for name, node in self.nodes.items() if name not in self.away}
        self._waiting = [number for number, trial in enumerate(self.trials) if trial.train and not trial.arrives]
        self._training: dict[int, Process] = {}
        self._actors: dict[int, SimulatedActor] = {}
        self._queue: TaskQueue[tuple[int, float]] = TaskQueue()
        self._undone = [len(trial.tasks) for trial in self.trials]
        self._looked = 0.0
        self._seemed_free_since: float | None = None
        self._blocked_since: float | None = None
        for number, trial in enumerate(self.trials):
            if not trial.train:
                self._measure(number)
            elif trial.arrives:
                self._at(trial.arrives, lambda number=number: self._waiting.append(number))  # type: ignore[misc]
        for moment, name, joins in self.changes:
            self._at(moment, lambda name=name, joins=joins: self._change(name, joins))  # type: ignore[misc]

    @property
    def done(self) -> bool:
        """Whether every trial is trained and measured."""
        return not self._waiting and not self._training and not any(self._undone)

    def run(self, limit: int = 1_000_000) -> None:
        """Until all is done; fails where it would never be."""
        self._step()
        for _ in range(limit):
            if self.done:
                self.makespan = self._now
                return
            self._advance(
                min(self._next_end(), self._looked + self.look_seconds, self._events[0][0] if self._events else INF)
            )
            while self._events and self._events[0][0] <= self._now:
                heapq.heappop(self._events)[2]()
            self._step()
        raise AssertionError(f"no end: {len(self._waiting)} trials wait, {sum(self._undone)} tasks are not done")

    def _at(self, moment: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), action))

    def _advance(self, moment: float) -> None:
        elapsed, self._now = moment - self._now, moment
        busy = self._busy_on()
        for actor in self._actors.values():
            if actor.trial is not None:
                actor.left -= elapsed / self._sharing(actor, busy)

    @staticmethod
    def _sharing(actor: SimulatedActor, busy: Counter[tuple[str, int | None]]) -> int:
        """How many busy actors share the actor's GPU, itself included."""
        return 1 if actor.part is None else busy[actor.node, actor.part]

    def _busy_on(self) -> Counter[tuple[str, int | None]]:
        return Counter((each.node, each.part) for each in self._actors.values() if each.trial is not None)

    def _step(self) -> None:
        """What follows at once from what has just happened."""
        self._place()
        self._end_tasks()
        self._decide()
        self._place()
        self._feed()
        self._check()

    def _next_end(self) -> float:
        """When the next task ends, if no other begins on its GPU before."""
        busy = self._busy_on()
        ends = [each.left * self._sharing(each, busy) for each in self._actors.values() if each.trial is not None]
        return self._now + max(0.0, min(ends, default=INF))

    def _place(self) -> None:
        """Whatever waits for room takes it, trials and actors in any order."""
        pending = [actor for actor in self._actors.values() if not actor.placed]
        self.moments.shuffle(pending)
        for actor in pending:
            node = self._free.get(actor.node)
            if node is not None and node.holds(actor.size):
                self._occupy(actor)
                self._at(self._now + START_SECONDS, lambda actor=actor: self._started(actor))  # type: ignore[misc]
        while self._waiting:
            fitting = [name for name, node in self._free.items() if node.holds(self.resources.trial)]
            if not fitting:
                return
            number = self._waiting.pop(0)
            process = Process(self.resources.trial, self.moments.choice(fitting))
            self._occupy(process)
            self._training[number] = process
            self._at(self._now + self.trials[number].train, lambda n=number, p=process: self._trained(n, p))  # type: ignore[misc]

    def _occupy(self, process: Process) -> None:
        node = self._free[process.node]
        process.part = node.part_for(process.size) if 0 < process.size.gpus < 1 else None
        self._free[process.node] = node.without(process.size, process.part)
        process.placed = True

    def _vacate(self, process: Process) -> None:
        if process.placed and process.node in self._free:
            self._free[process.node] = self._free[process.node].after(process.size, process.part)

    def _started(self, actor: SimulatedActor) -> None:
        actor.up, actor.idle_since = True, self._now

    def _trained(self, number: int, process: Process) -> None:
        if self._training.get(number) is not process:
            return  # it was lost
        del self._training[number]
        self._vacate(process)
        self._measure(number)

    def _measure(self, number: int) -> None:
        for seconds in self.trials[number].tasks:
            self._queue.put((number, seconds), number, seconds)

    def _end_tasks(self) -> None:
        for actor in self._actors.values():
            if actor.trial is not None and actor.left <= EPS:
                self._undone[actor.trial] -= 1
                actor.trial, actor.idle_since = None, self._now
                self.longest_task = max(self.longest_task, self._now - actor.began)

    def _decide(self) -> None:
        self._looked = self._now
        idle = (each for each in self._actors.values() if each.trial is None and each.up)
        if not self._waiting and not self._queue and not any(self._now - each.idle_since > LONG_IDLE for each in idle):
            return
        actors = [
            Actor(
                actor.key,
                actor.node,
                ActorState.BUSY if actor.trial is not None else ActorState.IDLE if actor.up else ActorState.STARTING,
                None if actor.part is None or not actor.up else str(actor.part),
                idle_seconds=self._now - actor.idle_since if actor.up else 0.0,
                gpus=None if actor.size is self.resources.pool else actor.size.gpus,
            )
            for actor in self._actors.values()
        ]
        nodes = [self.nodes[name] for name in self._free]
        unused = {name: (node.cpus, node.gpus) for name, node in self._free.items()}
        placed = Counter(process.node for process in self._training.values())
        demand = Demand(len(self._waiting), len(self._queue), self._queue.seconds)
        seen = survey(self.resources, nodes, unused, placed, actors, demand)
        seemed_free = self._waiting and any(node.holds(self.resources.trial) for node in seen.nodes)
        self._seemed_free_since = (self._seemed_free_since or self._now) if seemed_free else None
        stuck = self._seemed_free_since is not None and self._now - self._seemed_free_since >= STUCK_SECONDS
        decision = decide(self.resources, replace(seen, stuck=stuck))
        for key in decision.give_back:
            actor = self._actors[key]
            if actor.trial is None:
                self._vacate(self._actors.pop(key))
        for node in decision.start:
            assert node, "there is no machine to be added"
            key = next(self._numbers)
            size = self.resources.pool if decision.gpus is None else with_gpus(self.resources.pool, decision.gpus)
            self._actors[key] = SimulatedActor(size, node, key=key)

    def _feed(self) -> None:
        idle = [each for each in self._actors.values() if each.up and each.trial is None and each.placed]
        starting = sum(not each.up for each in self._actors.values())
        while self._queue and idle:
            busy = self._busy_on()
            actor = min(idle, key=lambda each: busy[each.node, each.part] if each.part is not None else 0)
            if actor.part is not None and busy[actor.node, actor.part] and starting:
                return
            idle.remove(actor)
            actor.trial, actor.left = self._queue.get(longest=not self._waiting)
            actor.began = self._now

    def _change(self, name: str, joins: bool) -> None:
        if joins:
            self._free.setdefault(name, self.nodes[name])
            return
        self._free.pop(name, None)
        for number, process in list(self._training.items()):
            if process.node == name:
                del self._training[number]
                self._waiting.insert(0, number)
        for key, actor in list(self._actors.items()):
            if actor.node == name:
                del self._actors[key]
                if actor.trial is not None:
                    self._queue.put((actor.trial, actor.left), actor.trial, actor.left)

    def _check(self) -> None:
        """Nothing is promised twice, and no trial waits for long for room that actors have."""
        for node in self._free.values():
            assert node.cpus >= -EPS, node
            assert node.gpus >= -EPS, node
            assert all(-EPS <= part <= 1 + EPS for part in node.parts), node
            assert sum(node.parts) <= node.gpus + EPS, node
        blocked = self._waiting and any(self._would_fit(name) for name in self._free)
        if not blocked:
            self._blocked_since = None
        elif self._blocked_since is None:
            self._blocked_since = self._now
        else:
            self.worst_wait = max(self.worst_wait, self._now - self._blocked_since)

    def _would_fit(self, name: str) -> bool:
        """Whether a trial would fit on a node without its actors."""
        node = self._free[name]
        for actor in self._actors.values():
            if actor.node == name and actor.placed:
                node = node.after(actor.size, actor.part)
        return node.holds(self.resources.trial)
