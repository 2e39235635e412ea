"""Durations as people write them: `90s`, `30min`, `8h`, `2d`, or a number of seconds."""

import re
from typing import Any

UNITS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


def seconds_of(value: Any) -> Any:
    """A duration in seconds; what is neither text nor a number is left as it is.

    Raises:
        ValueError: text that is no duration.
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]*)\s*", value)
    if match is None or match[2] not in {*UNITS, ""}:
        raise ValueError("must be a duration such as 90s, 30min, 8h or 2d")
    return float(match[1]) * UNITS.get(match[2], 1)


def in_words(seconds: float) -> str:
    """`90 s`, `30 min`, `8 h`."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
