"""Links in a sweep's folder that lead out of it: nothing is written through them, whoever made them."""

import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import UsageError
from trainables.trial.storage import Folder, is_remote

MOST_NAMED = 10


def refuse_links(sweep: Folder) -> None:
    """Refuse a sweep's folder with links that lead out of it. The folder itself may be one. Costs a walk over it.

    Raises:
        UsageError: a line for each of the first MOST_NAMED.
    """
    found = [] if is_remote(sweep.uri) else list(_leading_out(Path(sweep.uri)))
    if found:
        raise UsageError(
            *(
                f"{path}: is a link to {path.readlink()}, outside the sweep's folder, and nothing is written through "
                "it; put what it leads to in its place, or remove it"
                for path in found[:MOST_NAMED]
            )
        )


def _leading_out(sweep: Path) -> Iterator[Path]:
    root = sweep.resolve()
    for folder, folders, files in os.walk(sweep):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                yield path
