"""Turn off Python's garbage collection where it would cost more than it frees."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Run a block without garbage collection: where millions of objects are created and kept, searching them for
    garbage takes longer than creating them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
