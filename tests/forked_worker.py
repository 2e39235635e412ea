"""Workers that are forked from the process that runs the tests: real processes, without the import of torch."""

import multiprocessing
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from trainables.processes import child, running

start_afresh = running.launch


@cache
def preload() -> None:
    """What training and measuring import, some of it at their first step."""
    import torch

    import trainables.training.work  # noqa: F401

    torch.optim.SGD([torch.zeros(1)])


class Forked:
    """As `subprocess.Popen`."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self.pid: int = process.pid
        self.returncode: int | None = None


def fork(lifeline: int, output: int, connection: int, environment: Mapping[str, str]) -> Forked:
    """In place of `launch`; what workers import is imported here, once."""
    preload()
    process = multiprocessing.get_context("fork").Process(
        target=_serve, args=(lifeline, output, connection, environment)
    )
    process.start()
    return Forked(process)


def _serve(lifeline: int, output: int, connection: int, environment: Mapping[str, str]) -> None:
    os.setpgid(0, 0)
    os.environ.update(environment)
    pipe = os.fstat(lifeline).st_ino
    for number in range(3, 1 + max(map(int, (each.name for each in Path("/proc/self/fd").iterdir())))):
        with suppress(OSError):
            if number != lifeline and os.fstat(number).st_ino == pipe:
                os.close(number)  # the watcher's end
    os.dup2(lifeline, 0)
    os.close(lifeline)
    for number in (1, 2):
        os.dup2(output, number)
    child.prepare()
    child.serve(Connection(os.dup(connection)))
    os._exit(0)
