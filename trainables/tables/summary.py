"""A Parquet set in a few lines for people."""

import json
from collections.abc import Sequence
from contextlib import suppress

from trainables.cache_folder import cache_of
from trainables.tables.files import files_of
from trainables.tables.survey import Survey, states_of
from trainables.trial.specs import DataSpec

FORMAT = 2  # of what is decoded how
ABOUT_FILE = "about.json"
CLASSES_SHOWN = 12


def decoded_from(spec: DataSpec, found: Survey) -> list[object]:
    """What decides the pixels that a set is decoded to: the source of its cache."""
    asked = [spec.channels, spec.background, spec.resize, spec.crop, spec.on_damaged]
    return ["parquet", FORMAT, states_of(files_of(spec), spec), found.named_files, asked]


def describe(spec: DataSpec, found: Survey) -> tuple[str, ...]:
    """The summary of a set in one line, and a line more for classes that have no images."""
    lines = [summary(spec, found, decoded_notes(spec, found))]
    train, test = found.counts["train"], found.counts["test"]
    without = [label for label, count in zip(found.classes, train, strict=True) if not count]
    if without:
        lines.append(f"no training images of {len(without)} classes: {_some(without)}")
    untested = [label for label, count in zip(found.classes, test, strict=True) if not count]
    if untested:
        lines.append(f"no test images of {len(untested)} classes: {_some(untested)}")
    return tuple(lines)


def summary(spec: DataSpec, found: Survey, notes: Sequence[str]) -> str:
    """Images, sizes, modes, classes and their counts; and what was done to images, where that is known."""
    rows = " and ".join(f"{count} {'training' if split == 'train' else split}" for split, count in found.rows.items())
    sizes = f", {notes[0]}" if notes else ""
    return "; ".join([f"{spec.name} ({found.fingerprint}): {rows} images{sizes}", _classes(found), *notes[1:]])


def decoded_notes(spec: DataSpec, found: Survey) -> tuple[str, ...]:
    """What was seen when the set was decoded on this machine; nothing before."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        about = cache_of(spec.name or "parquet", decoded_from(spec, found)) / ABOUT_FILE
        return tuple(map(str, json.loads(about.read_text())["notes"]))
    return ()


def _classes(found: Survey) -> str:
    number, train = len(found.classes), found.counts["train"]
    kind = "1 class" if number == 1 else f"{number} classes"
    mapped = ", the integers in their order," if found.renumbered else ""
    if number <= CLASSES_SHOWN:
        pairs = zip(found.classes, train, found.counts["test"], strict=True)
        return f"{kind}{mapped} with images: " + ", ".join(f"{label} {a}+{b}" for label, a, b in pairs)
    return f"{kind}{mapped} of {min(train)} to {max(train)} training images: {_some(found.classes)}"


def _some(labels: Sequence[object]) -> str:
    shown = [str(label) for label in labels]
    return ", ".join(shown if len(shown) <= CLASSES_SHOWN else [*shown[:4], "…", shown[-1]])
