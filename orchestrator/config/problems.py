"""A problem of a sweep file: its key, and the wording of its message."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ConfigProblem:
    """One thing wrong with a sweep file."""

    key: str  # dotted, e.g. grid[0].weight_decay[2]
    message: str


def say(detail: Mapping[str, Any]) -> str:
    """One of pydantic's errors about a value as a clause: `should be a valid number; got 'fast'`."""
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return f"{message}; got {detail['input']!r}"
