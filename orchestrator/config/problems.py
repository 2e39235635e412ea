"""What is wrong with a sweep file: each problem with its key, and how its message is worded."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a sweep file."""

    key: str  # dotted, e.g. grid[0].weight_decay[2]
    message: str


def closest(word: str, choices: Iterable[str]) -> str:
    """The end of an error message about a word that is not among the choices."""
    known = list(choices)
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def say(detail: Mapping[str, Any]) -> str:
    """One of pydantic's errors about a value as a clause: `should be a valid number; got 'fast'`."""
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return f"{message}; got {detail['input']!r}"
