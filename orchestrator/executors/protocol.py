"""The protocol of executors: how the missing work of a sweep is done."""

from collections.abc import Generator
from typing import Protocol

from orchestrator.events import Event
from orchestrator.store.plan import Work


class Executor(Protocol):
    """Trains and measures: in this process, or on a Ray cluster."""

    def run(self, work: Work) -> Generator[Event, None, None]:
        """Train and measure, and yield each event as it happens. Every result is in the store before its event.

        If it is closed, it ends what is running; trials keep their last checkpoints.
        """
