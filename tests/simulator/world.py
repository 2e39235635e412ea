"""A world with a clock and an order of steps of its own, in which the real classes run: one task at a time.

Every task is a thread that holds the world's token while it runs. It hands the token on where it sleeps, waits, or asks
a storage or a server (`World.step`). Who gets it is decided by the times at which tasks want to go on, and these by
choices. So a list of choices is a schedule, and the same list is the same schedule.
"""

import math
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulator.choices import Choices
from trainables.trial.machine import Machine


class CrashedError(BaseException):
    """The process of this task has been killed."""


class EndedError(BaseException):
    """The schedule is over."""


class SimulationError(Exception):
    """An invariant does not hold; the message says which."""


QUIET = 0.01  # seconds that a request takes after the last fault
CRASH = 0.0  # among misfortunes; the others are seconds for which all threads of a process stand still


@dataclass(frozen=True)
class Faults:
    """What may happen in a schedule. Of each kind of choice, the first option is the quiet one."""

    latencies: tuple[float, ...] = (
        0.0,
        0.0,
        0.001,
        0.002,
        0.01,
        0.02,
        0.05,
        0.1,
        0.3,
        1.0,
        3.0,
    )  # seconds of a request
    misfortunes: tuple[float, ...] = (CRASH, 5.0, 30.0, 90.0, 200.0)
    misfortune_odds: int = 300  # against each of them, in a step
    error_odds: int = 100  # against an error before a request took effect, and after it
    until: float = 600.0  # the time of the last fault


@dataclass
class Process:
    """A process on a host of the world."""

    name: str
    host: str
    pid: int
    skew: float = 0.0  # seconds by which the host's clock is wrong
    alive: bool = True
    standing: float = 0.0  # until when it stands still
    stood: float = 0.0  # seconds that it has stood still so far
    main: "Task | None" = None
    interrupted: bool = False


@dataclass
class Task:
    """A thread of a process."""

    process: Process
    work: Callable[[], None]
    name: str
    wake: float = 0.0
    done: bool = False
    waiting: "Condition | None" = None
    turn: Any = field(default_factory=threading.Lock)

    def is_alive(self) -> bool:
        return not self.done


class _Threads:
    """Threads of the operating system, kept from schedule to schedule: to start one takes longer than many steps."""

    def __init__(self) -> None:
        self._idle: list[tuple[Any, list[Callable[[], None]]]] = []

    def start(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread, once the caller waits."""
        if self._idle:
            wake, slot = self._idle.pop()
            slot.append(work)
            wake.release()
            return
        wake, slot = threading.Lock(), [work]
        wake.acquire()
        threading.Thread(target=self._run, args=(wake, slot), daemon=True).start()

    def _run(self, wake: Any, slot: list[Callable[[], None]]) -> None:
        while True:
            slot.pop()()
            self._idle.append((wake, slot))
            wake.acquire()


_THREADS = _Threads()


class World:
    """The clock, the tasks, and the choices of one schedule."""

    def __init__(self, choices: Choices, faults: Faults = Faults(), end: float = 1000.0) -> None:
        self.choices = choices
        self.faults = faults
        self.now = 0.0
        self.end = end
        self.steps = 0
        self.wrong: list[str] = []
        self.replaced: Callable[[str], None] = lambda path: None  # told when a file gets other bytes
        self.log: list[str] = []
        self.logged = False
        self._processes = 0
        self._tasks: list[Task] = []
        self._current: Task | None = None
        self._over = threading.Lock()
        self._ending = False
        self._over.acquire()

    @property
    def faulty(self) -> bool:
        """Whether faults may still happen."""
        return self.now < self.faults.until

    @property
    def process(self) -> Process:
        """The one that runs."""
        assert self._current is not None
        return self._current.process

    def spawn(self, name: str, host: str, work: Callable[[Process], None], after: float = 0.0) -> Process:
        """A new process, whose main thread does `work`."""
        self._processes += 1
        process = Process(name, host, 100 + self._processes)
        process.main = self.start(process, lambda: work(process), name, after)
        return process

    def start(self, process: Process, work: Callable[[], None], name: str, after: float = 0.0) -> Task:
        """A new thread of a process."""
        task = Task(process, work, name, self.now + after)
        task.turn.acquire()
        self._tasks.append(task)
        _THREADS.start(lambda: self._live(task))
        return task

    def run(self) -> None:
        """Let everything happen."""
        self._hand_on(None)
        self._over.acquire()

    def judge(self) -> None:
        """SimulationError with all that was wrong."""
        if self.wrong:
            raise SimulationError("; ".join(dict.fromkeys(self.wrong)))

    def require(self, holds: bool, what: str) -> None:
        """An invariant."""
        if not holds:
            self.say(f"WRONG: {what}")
            self.wrong.append(what)

    def say(self, what: str) -> None:
        """A line of the schedule, for people."""
        if self.logged:
            who = self._current.name if self._current else ""
            self.log.append(f"{self.now:9.3f} {who}: {what}")

    def step(self, what: str = "") -> None:
        """A request to a storage or a server starts, and returns when it takes effect; faults happen here.

        Raises:
            CrashedError: the process is killed before the effect.
        """
        if self._ending:
            raise EndedError
        task = self._current
        assert task is not None
        if not task.process.alive:
            raise CrashedError
        self.steps += 1
        if self.steps > 20_000:
            self.require(False, "it never ends")
            self._ending = True
            raise EndedError
        latency = QUIET
        if self.faulty:
            self._misfortune(task.process)
            latency = self.choices.among(self.faults.latencies)
        self._pause(latency)
        if self.logged:
            self.say(what)

    def fate(self) -> str:
        """What becomes of a request: `done`, `refused` without effect, or `lost` (the effect, and no answer)."""
        if not self.faulty:
            return "done"
        drawn = self.choices.draw(self.faults.error_odds)
        return ("refused", "lost")[drawn - 1] if 0 < drawn < 3 else "done"

    def crash(self, process: Process) -> None:
        """Kill a process: none of its threads does anything more."""
        process.alive = False
        self.say(f"{process.name} is killed")
        for task in self._tasks:
            if task.process is process:
                task.wake, task.waiting = self.now, None

    def sleep(self, seconds: float) -> None:
        """Let time pass for the running task."""
        self._pause(seconds)

    def wait(self, condition: "Condition", seconds: float) -> None:
        """Let the running task wait to be notified."""
        assert self._current is not None
        self._current.waiting = condition
        self._pause(seconds)
        self._current.waiting = None

    def notify(self, condition: "Condition") -> None:
        """Wake all tasks that wait on a condition."""
        for task in self._tasks:
            if task.waiting is condition:
                task.waiting, task.wake = None, self.now

    def _misfortune(self, process: Process) -> None:
        drawn = self.choices.draw(self.faults.misfortune_odds) - 1
        if not 0 <= drawn < len(self.faults.misfortunes):
            return
        seconds = self.faults.misfortunes[drawn]
        if seconds == CRASH:
            self.crash(process)
            raise CrashedError
        process.standing = self.now + seconds
        process.stood += seconds
        self.say(f"{process.name} stands still for {seconds:g} s")

    def _pause(self, seconds: float) -> None:
        task = self._current
        assert task is not None
        if self._ending:
            raise EndedError
        task.wake = self.now + seconds
        self._hand_on(task)
        if self._ending:
            raise EndedError
        if not task.process.alive:
            raise CrashedError
        if task.process.interrupted and task is task.process.main:
            task.process.interrupted = False
            raise KeyboardInterrupt

    def _hand_on(self, task: Task | None) -> None:
        """Give the token to the task whose time comes first, and wait until it comes back."""
        following = self._next()
        if following is None:
            self._current = None
            self._over.release()
            return
        if following is task:
            return
        self._current = following
        following.turn.release()
        if task is not None and not task.done:
            task.turn.acquire()

    def _next(self) -> Task | None:
        following, first = None, math.inf
        for task in self._tasks:
            process = task.process
            due = process.standing if process.alive and process.standing > task.wake else task.wake
            if following is None or due < first:
                following, first = task, due
        if following is None:
            return None
        if not self._ending and (first > self.end or first == math.inf):
            self._ending = True
        if not self._ending:
            self.now = max(self.now, first)
        return following

    def _live(self, task: Task) -> None:
        task.turn.acquire()
        try:
            if not self._ending and task.process.alive:
                task.work()
        except (CrashedError, EndedError):
            pass
        except KeyboardInterrupt:
            self.say("interrupted")
        except BaseException as error:  # noqa: BLE001 - told as what is wrong
            place = traceback.extract_tb(error.__traceback__)[-1]
            self.require(False, f"{task.name}: {type(error).__name__}: {error} ({place.name}:{place.lineno})")
        task.done = True
        self._tasks.remove(task)
        if task is task.process.main:
            task.process.alive = False  # daemon threads end with it
            for other in self._tasks:
                if other.process is task.process:
                    other.wake, other.waiting = self.now, None
        self._hand_on(task)


class Condition:
    """As `threading.Condition`, in a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._owner: Task | None = None

    def __enter__(self) -> "Condition":
        while self._owner is not None and not self._owner.done:
            self._world.sleep(0.001)
        self._owner = self._world._current
        return self

    def __exit__(self, *_: object) -> None:
        self._owner = None

    def wait(self, timeout: float | None = None) -> None:
        self._owner = None
        self._world.wait(self, math.inf if timeout is None else max(timeout, 0.0))
        self.__enter__()

    def notify_all(self) -> None:
        self._world.notify(self)


class Thread:
    """As `threading.Thread` that has been started, in a world."""

    def __init__(self, world: World, task: Task) -> None:
        self._world = world
        self._task = task

    def join(self) -> None:
        while not self._task.done:
            self._world.sleep(0.01)


class SimulatedMachine(Machine):
    """The machine of a process in a world."""

    def __init__(self, world: World, process: Process, processes: dict[tuple[str, int], Process]) -> None:
        self._world = world
        self._process = process
        self._processes = processes
        processes[process.host, process.pid] = process

    def time(self) -> float:
        return 1.7e9 + self._world.now + self._process.skew

    def monotonic(self) -> float:
        return self._world.now

    def sleep(self, seconds: float) -> None:
        self._world.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        """As of this machine; also in quiet schedules, no two processes draw the same."""
        return low + (high - low) * ((self._world.choices.draw(8) + self._process.pid) % 8) / 7

    def condition(self) -> Any:
        return Condition(self._world)

    def start(self, work: Callable[[], None], name: str) -> Any:
        return Thread(self._world, self._world.start(self._process, work, f"{self._process.name}/{name}"))

    def interrupt(self) -> None:
        self._process.interrupted = True
        main = self._process.main
        assert main is not None
        if main.waiting is not None or main.wake > self._world.now:
            main.wake, main.waiting = self._world.now, None

    @property
    def host(self) -> str:
        return self._process.host

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def scope(self) -> str:
        return f"boot of {self._process.host}"

    def process_started(self, pid: int) -> str:
        found = self._processes.get((self._process.host, pid))
        return str(pid) if found is not None and found.alive else ""
