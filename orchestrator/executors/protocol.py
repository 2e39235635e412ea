"""What every executor is: the one way in which missing work gets done."""

from collections.abc import Iterator
from typing import Protocol

from orchestrator.events import Event
from orchestrator.store.plan import Work


class Executor(Protocol):
    """A way of getting work done: in this process, or on a Ray cluster."""

    def run(self, work: Work) -> Iterator[Event]:
        """Train and measure, yielding what happens as it happens; every result is in the store before its event."""
