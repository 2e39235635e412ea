"""The root of every error that this package raises on purpose."""

import difflib
from collections.abc import Iterable

LONGEST_WORD = 100  # that is compared with others


class AnalysisError(Exception):
    """A measure or a statistic that can't be computed; the message says which, why, and what to do."""


class UndefinedMeasureError(AnalysisError):
    """The quantity has no value here (a zero Hessian, NaN weights): recorded as missing, with this reason."""


def closest(word: str, choices: Iterable[str]) -> str:
    """The hint that ends an error message about an unknown word: the nearest choice, or all of them."""
    known = list(choices)
    near = difflib.get_close_matches(word[:LONGEST_WORD], known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def is_dotted(path: str) -> bool:
    """Whether a word is of the form `package.module.name`."""
    first, *others = path.split(".")
    return bool(others) and all(part.isidentifier() for part in (first, *others))
