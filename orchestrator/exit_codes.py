"""The exit codes of `renyi`."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended, for scripts."""

    ALL_MEASURED = 0
    SOME_FAILED = 1
    BAD_INPUT = 2
    DEFECT = 3
    INTERRUPTED = 130
