"""The inside of a worker: does one task after another, and ends with the process that watches it.

`python -m trainables.processes.child NUMBER`; the number is that of an open connection.
"""

import faulthandler
import fcntl
import io
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from enum import Enum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from analysis import life
from analysis.dotted import PATH_VARIABLE, import_dotted
from analysis.errors import AnalysisError
from analysis.one_line import one_line
from trainables.errors import TrainingError

SECONDS_BETWEEN_SIGNS = 0.5
FIRST_TO_BE_KILLED = "1000"  # where memory runs out: neither the driver nor Ray, which would take more with them


class Said(Enum):
    """The messages of a worker."""

    SIGN = "sign"  # of life
    VALUE = "value"  # of a task
    DONE = "done"
    RAISED = "raised"


class TaskError(Exception):
    """An error that no part of this package raises on purpose; its text is one line."""

    def __init__(self, text: str, traceback: str = "") -> None:
        super().__init__(text, traceback)
        self.traceback = traceback

    def __str__(self) -> str:
        return str(self.args[0])


def serve(connection: Any) -> None:
    """Do tasks until the connection is closed.

    A task is a dotted path of a function that returns an iterable, and its arguments. Whatever it raises is sent and
    ends the task alone: SystemExit and KeyboardInterrupt, too, since Ctrl-C does not reach this process.
    """
    lock = threading.Lock()  # a network's own threads may be alive, too
    last = 0.0

    def send(kind: Said, value: Any = None) -> None:
        with lock:
            connection.send((kind, value))

    def tell() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > SECONDS_BETWEEN_SIGNS:
            last = now
            send(Said.SIGN)

    life.tell_by(tell)
    while True:
        try:
            path, arguments = connection.recv()
        except EOFError:
            return
        last = 0.0
        try:
            for value in import_dotted(path)(*arguments):
                send(Said.VALUE, value)
        except (TrainingError, AnalysisError) as error:
            send(Said.RAISED, error)
        except BaseException as error:  # noqa: BLE001 - see above
            send(Said.RAISED, TaskError(one_line(error), "".join(traceback.format_exception(error))))
        else:
            send(Said.DONE)
        with suppress(Exception):
            sys.stdout.flush()


def _end_with_parent(lifeline: int) -> None:
    """Have the kernel end this process when the other end of a pipe is closed, even while no Python code can run."""
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _print_to_watcher() -> None:
    """Line by line, so that nothing is lost when the process ends; a stack on a crash, and where the watcher asks."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        raw = io.FileIO(number, "w", closefd=False)
        text = io.TextIOWrapper(io.BufferedWriter(raw), errors="backslashreplace", line_buffering=True)
        setattr(sys, name, text)
    faulthandler.enable(file=2, all_threads=False)
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=False)


def prepare() -> None:
    """Find the user's modules; take standard input for the lifeline, and leave an empty one to the user's code."""
    sys.path += [each for each in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if each and each not in sys.path]
    lifeline = os.dup(0)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    _end_with_parent(lifeline)
    _print_to_watcher()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_BE_KILLED)


if __name__ == "__main__":
    from trainables.processes import child  # the module that messages are pickled with

    child.prepare()
    child.serve(Connection(int(sys.argv[1])))
