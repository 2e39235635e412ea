"""Objects that an optimizer must know of, though nobody hands them over: modules, and loss scalers."""

import gc
import weakref
from typing import TypeVar

Kind = TypeVar("Kind")


def live_instances(kind: type[Kind]) -> "weakref.WeakSet[Kind]":
    """Every object of this class that the garbage collector tracks now, held weakly.

    Walks the whole heap (50 ms for 500 000 objects), so it is for once in an optimizer's life, not for every step.
    """
    # Not isinstance: some lazy proxies answer it by importing or computing what they stand for.
    return weakref.WeakSet(found for found in gc.get_objects() if issubclass(type(found), kind))
