"""What a reader must know of the choice of a sweep's trials: others under its name, and versions of what made them."""

from collections import Counter
from collections.abc import Iterable, Mapping

THEN = " then "  # between the versions of code that trained one trial
READING_THREADS = 8  # files of different trials are read in parallel


def others_remark(count: int) -> list[str]:
    """The remark that trials stand under a sweep's name which its file does not have; none if there are none."""
    stand = "1 other trial stands" if count == 1 else f"{count} other trials stand"
    return [f"{stand} under the sweep's name, not in its file and not counted"] if count else []


def code_remarks(trained_by: Iterable[Mapping[str, str]]) -> list[str]:
    """The remarks that trials were trained by several versions of something: this program, a network's code, the data.

    Args:
        trained_by: of each trial, by what it is, the version that trained it; without what is not recorded.
    """
    counts: dict[str, Counter[str]] = {}
    for trial in trained_by:
        for what, found in trial.items():
            counts.setdefault(what, Counter())[found] += 1
    return [
        f"trials of {len(found)} versions of {what}: {', '.join(f'{n} of {name}' for name, n in sorted(found.items()))}"
        for what, found in counts.items()
        if len(found) > 1
    ]


def trained_by(version: str, package: str, model: str, code: str, data: str) -> dict[str, str]:
    """The versions that trained a trial, by what they are versions of; an empty text is one that is not recorded."""
    found = {"this program": f"{version} ({package})" if package else "", model: code, "the data": data}
    return {what: name for what, name in found.items() if name}
