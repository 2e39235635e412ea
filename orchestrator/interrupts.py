"""Ctrl-C and SIGTERM, held back while something is written that must be complete."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from orchestrator.exit_codes import ExitCode

SECONDS_TO_LEAVE = 25.0  # a preempted machine stops 30 s after its signal
SIGNALS = (signal.SIGINT, signal.SIGTERM)  # a preempted machine sends SIGTERM before it stops


class Interrupts:
    """While entered, either signal raises KeyboardInterrupt in the main thread; inside `held`, at the end of the block.

    An interrupt in the middle of a database transaction would leave the database locked for what must still be
    written. A second signal means that the user does not want to wait: it is raised at once. If something hangs after
    a signal, such as a tracking server that is gone, the process still ends in time: all finished work is in the store.
    """

    def __init__(self) -> None:
        self._previous: dict[signal.Signals, Any] = {}
        self._holding = 0
        self._waiting = False
        self._deadline: threading.Timer | None = None

    def __enter__(self) -> "Interrupts":
        self._previous = {each: signal.signal(each, self._receive) for each in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        for each, handler in self._previous.items():
            signal.signal(each, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block that is completed before an interrupt is raised."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
        if self._waiting and not self._holding:
            self._waiting = False
            raise KeyboardInterrupt

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._deadline is None:
            self._deadline = threading.Timer(SECONDS_TO_LEAVE, _leave)
            self._deadline.daemon = True
            self._deadline.start()
        if self._holding and not self._waiting:
            self._waiting = True
            return
        self._waiting = False
        raise KeyboardInterrupt


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """While entered, `kill` and the end of the terminal raise KeyboardInterrupt in the main thread, as Ctrl-C does.

    What is ignored stays ignored: SIGHUP under nohup.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {each: handler for each in numbers if (handler := signal.getsignal(each)) is not signal.SIG_IGN}
    try:
        for each in previous:
            signal.signal(each, interrupt)
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


@contextmanager
def interrupted_after(seconds: float | None, text: str = "") -> Iterator[None]:
    """Interrupt the block as Ctrl-C does, once it has taken so long; None: never. `text` is shown then."""
    timer = threading.Timer(seconds or 0.0, _interrupt, [text])
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _interrupt(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - as below
    os.kill(os.getpid(), signal.SIGINT)


def _leave() -> None:
    """End the process without waiting for anything."""
    text = "\ninterrupted: finished work is kept. The same command resumes from the last checkpoints."
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the console may be what hangs
    os._exit(ExitCode.INTERRUPTED)
