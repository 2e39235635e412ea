"""A watched child process that does one task after another, and is started again where it ended."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from trainables.processes.child import Said
from trainables.processes.ending import LostError, OverdueError
from trainables.processes.limits import Limits, Watch
from trainables.processes.running import RunningChild

NODE_VARIABLE = "RENYI_NODE"  # Ray's id of the node, for the user's code: Ray itself is not in a worker's process
MOST_SHOWN = 1 << 16  # bytes of a task's output
LOOK = 0.5  # seconds between two looks at a silent process
NO_LIMITS = Limits()


class Worker:
    """A process for tasks.

    A thread of this process could neither end a network that hangs in native code nor survive one that ends its
    process or takes all memory; a process of its own can be ended, and how it ended can be told. Starting one takes as
    long as importing torch, so it is kept from task to task. It has a process group of its own: Ctrl-C reaches this
    process alone, so a KeyboardInterrupt there is the user's code's.
    """

    def __init__(self, environment: Mapping[str, str] | None = None, shown: bool = False) -> None:
        """A worker that has not started.

        Args:
            environment: variables that it has besides those of this process.
            shown: whether the first of each task's output is shown on standard error.
        """
        self._environment = dict(environment or {})
        self._shown = shown
        self._child: RunningChild | None = None

    def run(self, task: str, *arguments: Any, limits: Limits = NO_LIMITS) -> Iterator[Any]:
        """The values that a function returns, as they come; it is named by its dotted path.

        If the iteration is left before its end the process is ended.

        Raises:
            LostError: the process ended.
            OverdueError: it exceeded a limit, and was ended.
            TrainingError, AnalysisError: as the function raised it.
            TaskError: the function raised anything else.
        """
        if self._child is None or self._child.ended:
            self.close()
            self._child = RunningChild(self._environment)
        child, watch, done, looked = self._child, Watch(limits), False, time.monotonic()
        child.forget()
        try:
            with suppress(BrokenPipeError):  # it has just died; the next look says how
                child.connection.send((task, arguments))
            while not done:
                has_message, printed = child.wait(LOOK)
                if printed:
                    self._show(printed, watch.printed)
                    watch.sign(len(printed))
                if has_message:
                    try:
                        kind, value = child.connection.recv()
                    except (EOFError, ConnectionError):
                        raise LostError(child.cause_of_death, child.output) from None
                    watch.sign()
                    done = kind in (Said.DONE, Said.RAISED)
                    if kind is Said.RAISED:
                        raise value
                    if kind is Said.VALUE:
                        yield value
                elif child.ended:
                    raise LostError(child.cause_of_death, child.output)
                now = time.monotonic()
                watch.passed(now - looked)
                looked = now
                if not done and watch.problem:
                    raise self._overdue(child, watch)
        finally:
            if not done:
                self.close()

    def close(self) -> None:
        """End the process, and all that it started."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _show(self, printed: bytes, before: int) -> None:
        """Show output, of which so many bytes were there before."""
        if self._shown and before <= MOST_SHOWN:
            cut = "" if before + len(printed) <= MOST_SHOWN else "\n… the rest of its output is not shown\n"
            sys.stderr.write(printed[: MOST_SHOWN - before].decode(errors="replace") + cut)
            sys.stderr.flush()

    @staticmethod
    def _overdue(child: RunningChild, watch: Watch) -> OverdueError:
        problem, output = watch.problem or "", child.output
        place = "" if watch.flooded else child.place()
        return OverdueError(f"{problem}{f', in {place}' if place else ''}; it was ended", output)
