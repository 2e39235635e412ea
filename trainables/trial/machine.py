"""The machine that a process runs on: clocks, pauses, threads, and the table of processes. Whoever needs these takes
them as an argument, so that a test can own time and the order of all steps."""

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path


class Machine:
    """This machine, as this process sees it."""

    def time(self) -> float:
        """Unix time, which people and other programs may set."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that only go forwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Pause this thread."""
        time.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        """A random number, by which processes that started together come apart."""
        return random.uniform(low, high)

    def condition(self) -> threading.Condition:
        """A lock on which threads can wait for each other."""
        return threading.Condition()

    def start(self, work: Callable[[], None], name: str) -> threading.Thread:
        """Start a thread that does not keep the process alive."""
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread

    def interrupt(self) -> None:
        """Interrupt this process as Ctrl-C does."""
        os.kill(os.getpid(), signal.SIGINT)

    @property
    def host(self) -> str:
        """The name of this machine in a network."""
        return socket.gethostname()

    @property
    def pid(self) -> int:
        """The number of this process."""
        return os.getpid()

    @cached_property
    def scope(self) -> str:
        """Where process numbers are unique: this boot of this machine, and its container."""
        boot, container = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
        if boot.exists():
            return f"{boot.read_text().strip()} {container.readlink()}"
        return socket.gethostname()

    def process_started(self, pid: int) -> str:
        """The start of a process by the kernel's clock; empty if no such process is running."""
        if Path("/proc/self/stat").exists():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                return ""
            return "" if fields[0] in "ZX" else fields[19]
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            pass
        return "running"


THIS_MACHINE = Machine()
