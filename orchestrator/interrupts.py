"""Ctrl-C and SIGTERM, held back while something is written that must be whole."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # a preempted machine sends SIGTERM before it goes


class Interrupts:
    """While entered, either signal raises KeyboardInterrupt in the main thread; inside `held`, at its end.

    An interrupt in the middle of a database transaction would leave the database locked for what is still to be
    written. Whoever sends a second signal does not want to wait: that one is raised at once.
    """

    def __init__(self) -> None:
        self._previous: dict[signal.Signals, Any] = {}
        self._holding = 0
        self._waiting = False

    def __enter__(self) -> "Interrupts":
        self._previous = {each: signal.signal(each, self._receive) for each in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
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
        if self._holding and not self._waiting:
            self._waiting = True
            return
        self._waiting = False
        raise KeyboardInterrupt
