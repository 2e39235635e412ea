"""The command `renyi` in processes forked from one that has imported everything: real processes, at work at once."""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.small_pictures import draw_nothing

PRELOADED = ["pytest", "tests.forked_renyi", "tests.loaded"]


class Renyi:
    """A running command in a session of its own, with as much of `subprocess.Popen` as tests need."""

    def __init__(self, *words: str, environment: Mapping[str, str] | None = None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        handle, path = tempfile.mkstemp(prefix="renyi-output-")
        os.close(handle)
        self._output = Path(path)
        self._written: str | None = None
        variables = dict(os.environ if environment is None else environment)
        self._process = context.Process(target=_command, args=(words, variables, str(Path.cwd()), path))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | Any:
        """The exit code; minus the number of the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | Any:
        """As `returncode`."""
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the command alone."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Wait for the end; all that was written on both streams."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("renyi", timeout or 0.0)
        if self._written is None:
            self._written = self._output.read_text()
            self._output.unlink()
        return self._written, None


def _command(words: tuple[str, ...], environment: Mapping[str, str], folder: str, output: str) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    stream = os.open(output, os.O_WRONLY | os.O_APPEND)
    for number in (1, 2):
        os.dup2(stream, number)
    from orchestrator.cli import app
    from tests import forked_worker
    from trainables.processes import running

    sys.argv = ["renyi", *words]
    draw_nothing(pytest.MonkeyPatch())
    running.launch = forked_worker.fork
    try:
        app()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
