"""The folder of what this machine keeps for all sweeps: decoded images, and what is known of data sets."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE_VARIABLE = "RENYI_CACHE"
FORMAT = 1  # part of every cache's name; another layout gets another number, and so new caches


def cache_folder() -> Path:
    """The folder of all caches: RENYI_CACHE, or `renyi` in the user's cache folder."""
    folder = os.environ.get(CACHE_VARIABLE) or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "renyi"
    return Path(folder).expanduser().absolute()


def cache_of(name: str, source: object) -> Path:
    """The folder of the decoded images of a source, which need not exist.

    Args:
        name: the readable first part of the folder's name.
        source: what the cache is made from, as JSON; another source has another folder.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, source]).encode()).hexdigest()[:12]
    return cache_folder() / f"{name}-{digest}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock. The system releases it when this process ends, even if it is killed."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
