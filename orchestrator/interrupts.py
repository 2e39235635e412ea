"""Ctrl-C and SIGTERM, held back while something is written that must be whole."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SECONDS_TO_LEAVE = 25.0  # a preempted machine is gone 30 s after its signal
EXIT_CODE = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)  # a preempted machine sends SIGTERM before it goes


class Interrupts:
    """While entered, either signal raises KeyboardInterrupt in the main thread; inside `held`, at its end.

    An interrupt in the middle of a database transaction would leave the database locked for what is still to be
    written. Whoever sends a second signal does not want to wait: that one is raised at once. Whatever hangs then, a
    tracking server that is gone for example, the process ends in time: all that is done is in the store.
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
        """A block that is not interrupted half way."""
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


def _leave() -> None:
    """End the process without waiting for anything."""
    text = "\ninterrupted: what is done is kept, and goes on from the last epochs. The same command takes it up again."
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the console may be what hangs
    os._exit(EXIT_CODE)
