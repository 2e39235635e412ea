"""For whom files are that this machine writes: their owner alone, unless the sweep file says otherwise."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

Access = Literal["owner", "group", "everyone"]
_MASKS: dict[str, int] = {"owner": 0o077, "group": 0o007, "everyone": 0o022}
RAY_TOKEN = Path("~/.ray/auth_token")  # by which the nodes of a cluster, and a local Ray, recognize each other
OTHERS = stat.S_IRWXG | stat.S_IRWXO


@contextmanager
def files_for(access: Access) -> Iterator[None]:
    """While entered, new files of this process and of those that it starts are for the owner, the group or everyone.

    Files that are there keep what they have. On a cluster, the nodes' own `umask` decides about what they write.
    """
    before = os.umask(_MASKS[access])
    try:
        yield
    finally:
        os.umask(before)


def keep_token_private() -> None:
    """Make Ray's token readable by its owner alone, if there is one: Ray writes it for everyone."""
    token = RAY_TOKEN.expanduser()
    with suppress(OSError):
        if stat.S_IMODE(token.stat().st_mode) & OTHERS:
            token.chmod(0o600)
