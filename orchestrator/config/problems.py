"""A problem of a sweep file: its key, and the wording of its message."""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_WORDS = {None: "null", True: "true", False: "false"}


@dataclass(frozen=True)
class ConfigProblem:
    """One thing wrong with a sweep file."""

    key: str  # dotted, e.g. grid[0].weight_decay[2]
    message: str


def shown(value: Any) -> str:
    """A value as a message shows it: short, in one line, and in the words of YAML."""
    return _WORDS[value] if value is None or isinstance(value, bool) else _SHORT.repr(value)


def short(key: str) -> str:
    """A key as a message shows it: short, in one line."""
    return key if len(key) <= 80 and key.isprintable() else shown(key)


def say(detail: Mapping[str, Any]) -> str:
    """One of pydantic's errors about a value as a clause: `should be a valid number; got 'fast'`."""
    value = detail["input"]
    if detail["type"] == "string_type" and isinstance(value, int | float):
        return f"should be text: put it in quotes; got {shown(value)}"
    if detail["type"] == "string_pattern_mismatch":
        return f"may have letters, digits, `_`, `.` and `-`, and begins with a letter or digit; got {shown(value)}"
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return f"{message}; got {shown(value)}"
