"""A running child process: what it says, what it prints, and how it ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import Protocol

from trainables.processes.ending import KEPT, UNKNOWN, cause_of_death, innermost_own, out_of_memory_kills

STACK = "most recent call first"  # begins what `faulthandler` prints of a process that lives
CHUNK = 1 << 20  # bytes of output read at once
SECONDS_FOR_STACK = 2.0  # for a hanging process to say where it hangs


class Process(Protocol):
    """As `subprocess.Popen`."""

    pid: int
    returncode: int | None


class RunningChild:
    """A process with a connection to it, and a pipe for its output; both ends of it are this process's own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.connection, theirs = Pipe()
        self._output, printed = os.pipe()
        lifeline, self._lifeline = os.pipe()
        os.set_blocking(self._output, False)
        self._tail = b""
        self._memory = 0
        self._kills = out_of_memory_kills()
        self._process = launch(lifeline, printed, theirs.fileno(), environment)
        self.pid = self._process.pid
        theirs.close()
        for descriptor in (lifeline, printed):
            os.close(descriptor)

    def wait(self, seconds: float) -> tuple[bool, bytes]:
        """Whether a message is there, and what was printed, after waiting at most so long for either."""
        ready = wait([self.connection, self._output], seconds)
        return self.connection in ready, self._read() if self._output in ready else b""

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._reap(os.WNOHANG)

    @property
    def output(self) -> str:
        """The last of what it printed since `forget`."""
        while len(self._read()) == CHUNK:
            pass
        return self._tail.decode(errors="replace")

    def forget(self) -> None:
        """Leave what was printed before now to the past."""
        self._read()
        self._tail = b""

    @property
    def cause_of_death(self) -> str:
        """What ended it, in words."""
        self._reap(0)
        status = self._process.returncode
        out_of_memory = out_of_memory_kills() > self._kills
        return cause_of_death(0 if status is None else status, self._memory, out_of_memory, self.output)

    def place(self) -> str:
        """Where a process that hangs is, by its own stack; empty where it can't say."""
        self.forget()
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)
        deadline = time.monotonic() + SECONDS_FOR_STACK
        while time.monotonic() < deadline:
            _, printed = self.wait(SECONDS_FOR_STACK / 20)
            if not printed and STACK in self.output:
                break
        return innermost_own(self.output.rpartition(STACK)[2])

    def close(self) -> None:
        """End it, and all that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with suppress(ProcessLookupError, PermissionError):
            if self._process.returncode is None:
                os.kill(self.pid, signal.SIGKILL)
        self._reap(0)
        self.connection.close()
        for descriptor in (self._output, self._lifeline):
            os.close(descriptor)

    def _read(self) -> bytes:
        try:
            data = os.read(self._output, CHUNK)
        except BlockingIOError:
            return b""
        self._tail = (self._tail + data)[-KEPT:]
        return data

    def _reap(self, options: int) -> bool:
        if self._process.returncode is None:
            try:
                pid, status, usage = os.wait4(self.pid, options)
            except ChildProcessError:  # somebody else waits for all children of this process
                self._process.returncode = UNKNOWN
            else:
                if pid:
                    self._memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
                    self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode is not None


def launch(lifeline: int, output: int, connection: int, environment: Mapping[str, str]) -> Process:
    """Start a process that serves a connection. Modules are found where this process finds them."""
    path = os.pathsep.join(dict.fromkeys(each or os.getcwd() for each in sys.path))  # noqa: PTH109 - a string
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "trainables.processes.child", str(connection)],
        stdin=lifeline,
        stdout=output,
        stderr=output,
        pass_fds=[connection],
        env={**os.environ, **environment, "PYTHONPATH": path},
        process_group=0,
    )
