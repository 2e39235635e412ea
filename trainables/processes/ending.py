"""How a process ended, in one line, with the last lines of its output."""

import re
import signal
import sys
import traceback
from pathlib import Path

from analysis.one_line import plain_text

UNKNOWN = 1 << 16  # in place of an exit code
CRASH = "Fatal Python error"  # begins what `faulthandler` prints on a crash
KEPT = 1 << 16  # bytes of output; a crash lists every extension module after its traceback
_HOME = Path(__file__).parents[2]
_OURS = tuple(str(_HOME / name) for name in ("analysis", "trainables", "orchestrator"))
_OURS = tuple(str(_HOME / name) for name in ("analysis", "trainables", "orchestrator"))
_LIBRARIES = (sys.prefix, sys.base_prefix, *_OURS, "<")
QUOTED_LINES, QUOTED_CHARACTERS = 3, 160


class EndedError(Exception):
    """A process ended before its task. Its text is one line: the cause, and the last lines of the output."""

    def __init__(self, cause: str, output: str = "") -> None:
        super().__init__(cause, output)
        self.cause = cause
        self.output = output  # the last of it, as printed

    def __str__(self) -> str:
        printed = self.output.partition(CRASH)[0]
        lines = [plain_text(line).strip() for line in printed.splitlines()]
        quoted = [line[:QUOTED_CHARACTERS] for line in lines if line][-QUOTED_LINES:]
        return self.cause + (f"; last output: {' | '.join(quoted)}" if quoted else "")


class LostError(EndedError):
    """It ended itself, or something else ended it; another attempt may succeed."""


class OverdueError(EndedError):
    """Its watcher ended it, since it exceeded a limit; another attempt would, too."""


def cause_of_death(status: int, memory: int, out_of_memory: bool, output: str) -> str:
    """What ended a process.

    Args:
        status: its exit code; minus the number of the signal that ended it.
        memory: the most bytes that it used.
        out_of_memory: whether the kernel killed some process for memory while this one ran.
        output: the last of what it printed.
    """
    if status == UNKNOWN:
        return "its process ended, and nobody knows how"
    if status >= 0:
        return f"its process ended itself with exit code {status}"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    used = f"it used {memory / 2**30:.1f} GB"
    if status == -signal.SIGKILL and out_of_memory:
        return f"out of memory: the system killed its process ({name}) when {used}"
    if status == -signal.SIGKILL:
        return f"its process was killed ({name}), as the system does when memory runs out; {used}"
    place = innermost_own(output.partition(CRASH)[2])
    return f"its process was ended by {name}{f', in {place}' if place else ''}"


def out_of_memory_kills() -> int:
    """How many processes the kernel has killed for memory since it started; 0 where it does not count them."""
    try:
        match = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(match[1]) if match else 0


def innermost_own(stack: str) -> str:
    """The innermost line of the user's own in a stack by `faulthandler`; empty where there is none."""
    frames = re.findall(r'File "(.+?)", line (\d+) in (\S+)', stack)
    own = [each for each in frames if not each[0].startswith(_LIBRARIES)]
    return "{}, line {}, in {}".format(*(own or frames)[0]) if frames else ""


def innermost_own_frame(error: BaseException) -> str:
    """The innermost line of the user's own that an error passed through; empty where there is none."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith(_LIBRARIES)]
    return f"{frames[-1].filename}, line {frames[-1].lineno}, in {frames[-1].name}" if frames else ""
