"""Tasks that wait for an actor, in the order in which they are to be done. Knows no Ray."""

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass
class TaskQueue(Generic[Item]):
    """Waiting tasks: by the arrival of their trials and the longest of a trial first, or the longest of all first.

    The first order completes one trial after the other. The second ends a sweep soonest, since what is left at the end,
    when actors run out of work one by one, is short.
    """

    _by_arrival: list[tuple[int, float, int]] = field(default_factory=list)
    _by_length: list[tuple[float, int, int]] = field(default_factory=list)
    _items: dict[int, tuple[Item, float]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    seconds: float = 0.0  # expected for all waiting tasks together

    def put(self, item: Item, arrival: int, seconds: float) -> None:
        """Queue a task.

        Args:
            item: the task.
            arrival: the place of its trial in the order of arrival.
            seconds: that it is expected to take; infinity for what ends a trial and takes no time.
        """
        number = next(self._numbers)
        self._items[number] = item, seconds
        self._count(seconds)
        heapq.heappush(self._by_arrival, (arrival, -seconds, number))
        heapq.heappush(self._by_length, (-seconds, arrival, number))

    def get(self, longest: bool = False) -> Item:
        """Take out the next task in the order of arrival, or the longest of all."""
        heap: list[tuple[float, float, int]] = self._by_length if longest else self._by_arrival  # type: ignore[assignment]
        while True:
            *_, number = heapq.heappop(heap)
            if number in self._items:
                item, seconds = self._items.pop(number)
                self._count(-seconds)
                return item

    def _count(self, seconds: float) -> None:
        if abs(seconds) != float("inf"):
            self.seconds = self.seconds + seconds if self._items else 0.0

    def __len__(self) -> int:
        return len(self._items)
