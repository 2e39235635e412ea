"""Signs of life: long work says from time to time that it goes on, to whoever watches its process."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
_tell: Callable[[], None] | None = None


def alive() -> None:
    """Say that the work goes on: a training step, a batch, a pass is done. Costs a clock's reading at most."""
    if _tell is not None:
        _tell()


def living(items: Iterable[Item]) -> Iterator[Item]:
    """The items; each is a sign of life when the next one is asked for."""
    for item in items:
        yield item
        alive()


def tell_by(tell: Callable[[], None] | None) -> None:
    """Have this process's signs of life told by a function; None: by none."""
    global _tell
    _tell = tell
