"""Tasks that end, hang, flood and take memory, as users' code does."""

import os
import signal
import sys
import time
from collections.abc import Iterator

from analysis.life import alive
from trainables.errors import DivergedError


def count(number: int) -> Iterator[int]:
    yield from range(number)


def pid() -> list[int]:
    return [os.getpid()]


def leave(code: int) -> list[int]:
    print("on my way out")
    os._exit(code)


def kill(number: int) -> list[int]:
    os.kill(os.getpid(), number)
    return []


def sys_exit(text: object) -> list[int]:
    sys.exit(text)  # type: ignore[arg-type]


def interrupt() -> list[int]:
    raise KeyboardInterrupt


def diverge() -> list[int]:
    raise DivergedError("the loss is nan")


def colours() -> list[int]:
    raise ValueError("\n\x1b[31mred\x1b[0m alert\nmore")


def hang() -> list[int]:
    alive()
    while True:
        signal.pause()


def hang_without_python() -> list[int]:
    """In native code that holds Python's lock: no other thread of the process can run."""
    import ctypes

    alive()
    ctypes.PyDLL(None).pause()
    return []


def live(seconds: float) -> list[int]:
    """Longer than its silence limit, with a sign of life now and then."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        time.sleep(0.05)
        alive()
    return [1]


def flood() -> list[int]:
    while True:
        os.write(1, b"x" * (1 << 20))


def parent_of_worker(write: int) -> None:
    """Start a worker that hangs, say its number, and be killed."""
    from trainables.processes.worker import Worker

    worker = Worker()
    (number,) = worker.run(f"{__name__}.pid")
    os.write(write, str(number).encode())
    list(worker.run(f"{__name__}.hang_without_python"))
