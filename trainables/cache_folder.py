"""The folder of what this machine keeps for all sweeps: decoded images, and what is known of data sets."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE_VARIABLE = "RENYI_CACHE"


def cache_folder() -> Path:
    """The folder of all caches: RENYI_CACHE, or `renyi` in the user's cache folder."""
    folder = os.environ.get(CACHE_VARIABLE) or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "renyi"
    return Path(folder).expanduser().absolute()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock. The system releases it when this process ends, even if it is killed."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
