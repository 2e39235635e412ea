"""What a Parquet set contains, found without decoding an image: rows, classes, and the fingerprint it is known by.

All labels are read, and the bytes of some images; what was found is kept in this machine's cache, and found again by
the paths, sizes and times of the files.
"""

import hashlib
import json
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from trainables.cache_folder import cache_folder
from trainables.errors import TrainingError
from trainables.tables.files import File, files_of
from trainables.tables.fingerprint import fingerprint
from trainables.tables.images import Images, image_kind, may_name_files, paths_of
from trainables.tables.labels import (
    FileLabels,
    Kind,
    Label,
    class_names,
    classes_of,
    label_kind,
    labels_of,
    listed,
    means_no_label,
)
from trainables.trial.specs import DataSpec

FORMAT = 1  # of a survey in the cache
FOLDER = ".surveys"  # in the cache folder
PROBLEMS_SHOWN = 20


@dataclass(frozen=True)
class Survey:
    """The content of a set."""

    fingerprint: str
    kind: Kind  # what labels are in the files
    classes: tuple[Label, ...]  # the label of each class, in the order of the classes' numbers
    counts: dict[str, tuple[int, ...]]  # images of each class, by split
    reordered: bool = False  # whether a file numbers its class names otherwise than the classes are numbered
    named_files: str = ""  # digest of sizes and times of images that lie in files of their own

    @property
    def rows(self) -> dict[str, int]:
        """The number of images of each split."""
        return {split: sum(counts) for split, counts in self.counts.items()}

    @property
    def renumbered(self) -> bool:
        """Whether labels are integers that are not the classes' numbers."""
        return self.kind == "integers" and self.classes != tuple(range(len(self.classes)))


def survey(spec: DataSpec) -> Survey:
    """Look through the files of a Parquet set, or recall what was found when they were the same.

    Costs a read of all labels, and of the row groups of the images in the fingerprint.

    Raises:
        TrainingError: files are missing or damaged, columns or labels do not fit; a line for each problem.
    """
    files = files_of(spec)
    path = (
        cache_folder() / FOLDER / f"{hashlib.sha256(json.dumps(states_of(files, spec)).encode()).hexdigest()[:16]}.json"
    )
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        known = _from_json(path.read_text())
        if not known.named_files or known.named_files == _named_files(files, spec):
            return known
    found = _look_through(files, spec)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        temporary.write_text(_to_json(found))
        temporary.replace(path)
    return found


def states_of(files: dict[str, list[File]], spec: DataSpec) -> list[object]:
    """What tells whether a file of a set has changed: columns, paths, sizes, times of change."""
    states = {split: [(file.path, file.size, file.modified) for file in found] for split, found in files.items()}
    return [FORMAT, spec.image, spec.label, states]


def label_problems(spec: DataSpec) -> list[str]:
    """What forbids training on a data set: files, columns and labels, a line for each problem; empty if nothing does.

    Knows no torch; the sets with names of their own have no such problems.
    """
    if spec.dataset != "parquet":
        return []
    try:
        survey(spec)
    except TrainingError as error:
        return str(error).splitlines()
    return []


def _named_files(files: dict[str, list[File]], spec: DataSpec) -> str:
    """A digest of the states of images that lie in files of their own; empty if there are none."""
    digest, any_named = hashlib.sha256(), False
    for file in (file for found in files.values() for file in found):
        with file.opened() as table:
            if may_name_files(table, spec.image):
                with file.read_through():
                    states = Images(file).states(paths_of(table, spec.image))
                any_named = any_named or bool(states)
                digest.update(json.dumps(states).encode())
    return digest.hexdigest() if any_named else ""


def _look_through(files: dict[str, list[File]], spec: DataSpec) -> Survey:
    problems: list[str] = []
    labels: dict[str, list[tuple[File, FileLabels]]] = {"train": [], "test": []}
    for split, found in files.items():
        for file in found:
            try:
                labels[split].append((file, read_labels(file, spec)))
            except TrainingError as error:
                problems += str(error).splitlines()
    if not problems:
        problems = _misfits(labels, files)
    if problems:
        more = [f"… and {len(problems) - PROBLEMS_SHOWN} more problems"] if len(problems) > PROBLEMS_SHOWN else []
        raise TrainingError("\n".join([*problems[:PROBLEMS_SHOWN], *more]))
    classes = classes_of([each for _, each in labels["train"]])
    number = {label: index for index, label in enumerate(classes)}
    targets = {
        split: np.concatenate(
            [np.array([number[label] for label in each.labels], np.int64)[each.codes] for _, each in found]
        )
        for split, found in labels.items()
    }
    counts = {split: tuple(np.bincount(found, minlength=len(classes)).tolist()) for split, found in targets.items()}
    kind = labels["train"][0][1].kind
    reordered = any(each.names != classes[: len(each.names)] for found in labels.values() for _, each in found)
    return Survey(
        fingerprint(files, kind, classes, targets, spec.image),
        kind,
        classes,
        counts,
        reordered,
        _named_files(files, spec),
    )


def read_labels(file: File, spec: DataSpec) -> FileLabels:
    """The labels of one file.

    Raises:
        TrainingError: a column is missing or of a wrong type, or a row has no label.
    """
    with file.opened() as table:
        schema = table.schema_arrow
        problems = []
        for key, check in (("image", image_kind), ("label", label_kind)):
            column = getattr(spec, key)
            if column not in schema.names:
                there = ", ".join(schema.names) or "none"
                problems.append(
                    f"{file.path}: there is no column {column!r}, but {there}; name them, as in "
                    "data: {image: img, label: label}"
                )
            elif schema.names.count(column) > 1:
                problems.append(f"{file.path}: there are {schema.names.count(column)} columns {column!r}; rename one")
            elif reason := check(schema.field(column).type):
                problems.append(f"{file.path}: column {column!r}: {reason}")
        if problems:
            raise TrainingError("\n".join(problems))
        integers = not label_is_text(schema.field(spec.label).type)
        try:
            names = class_names(schema.metadata, spec.label) if integers else ()
        except ValueError as error:
            raise TrainingError(f"{file.path}: {error}; write the file again without them") from error
        with file.read_through():
            column = table.read(columns=[spec.label]).column(0)
        return labels_of(column, names, file.path)


def label_is_text(kind: Any) -> bool:
    """Whether labels of this type are strings, which need no class names."""
    return not (pa.types.is_integer(kind) or pa.types.is_boolean(kind)) and not (
        pa.types.is_dictionary(kind) and pa.types.is_integer(kind.value_type)
    )


def _misfits(labels: dict[str, list[tuple[File, FileLabels]]], files: dict[str, list[File]]) -> list[str]:
    """What does not fit together: the labels of some files with those of others."""
    problems = [
        f"data.{split}: {files[split][0].path} has no rows"
        + (f", nor any other of {len(found)} files" if found[1:] else "")
        for split, found in labels.items()
        if not any(len(each.codes) for _, each in found)
    ]
    for split, found in labels.items():  # files without rows say nothing
        labels[split] = [(file, each) for file, each in found if len(each.codes)]
    everywhere = [*labels["train"], *labels["test"]]
    for (first, one), (second, other) in pairwise(everywhere):
        if one.kind != other.kind:
            problems.append(
                f"{second.path}: the labels are {_said(other.kind)}, those of {first.path} {_said(one.kind)}; all "
                "files must have the same kind"
            )
    if problems:
        return problems
    classes = classes_of([each for _, each in labels["train"]])
    if means_no_label(classes) and labels["train"][0][1].kind == "integers":
        file, each = next((file, each) for file, each in labels["train"] if -1 in each.labels)
        row = int((each.codes == each.labels.index(-1)).argmax())
        return [
            f"{file.path}: row {row}: the class is -1, which commonly means no label; leave such rows out of the file, "
            "or give the class another number"
        ]
    trained = set(classes)
    for file, each in labels["test"]:
        for code, label in enumerate(each.labels):
            if label not in trained:
                rows = each.codes == code
                problems.append(
                    f"data.test has the class {label} ({file.path}: row {int(rows.argmax())}; {int(rows.sum())} rows), "
                    f"but data.train only {listed(classes)}; train on images of it, or leave these rows out"
                )
    return problems


def _said(kind: Kind) -> str:
    return {"names": "integers with class names", "strings": "strings", "integers": "integers without class names"}[
        kind
    ]


def _to_json(found: Survey) -> str:
    content = json.dumps(asdict(found))
    return json.dumps([content, hashlib.sha256(content.encode()).hexdigest()])


def _from_json(text: str) -> Survey:
    """The survey in a file of the cache; ValueError if it is not as it was written."""
    content, digest = json.loads(text)
    if hashlib.sha256(content.encode()).hexdigest() != digest:
        raise ValueError("damaged")
    found = json.loads(content)
    counts = {split: tuple(of_split) for split, of_split in found.pop("counts").items()}
    return Survey(classes=tuple(found.pop("classes")), counts=counts, **found)
