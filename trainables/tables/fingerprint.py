"""The fingerprint of a set's content, by which trials know it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.errors import DamagedImageError
from trainables.tables.files import File
from trainables.tables.images import Images
from trainables.tables.labels import Kind, Label

FORMAT = 1
ALL_ROWS = 1000  # of a split with at most so many rows every image is part of the fingerprint
SAMPLED_ROWS = 32  # of a larger one so many, evenly spaced, with the first and the last


def fingerprint(
    files: Mapping[str, Sequence[File]],
    kind: Kind,
    classes: Sequence[Label],
    targets: Mapping[str, npt.NDArray[np.int64]],
    column: str,
) -> str:
    """A SHA-256 (16 digits) of what the files say, wherever they lie and however rows are divided among them.

    It covers the kind of labels and the classes, and of each split its name, the number of rows, the class of each row,
    and the bytes of images: of all rows up to `ALL_ROWS`, of more rows `SAMPLED_ROWS`.

    Args:
        files: of each split.
        kind, classes: what labels are, and the label of each class.
        targets: (rows,) the class of each row of a split.
        column: the name of the images' column.
    """
    digest = hashlib.sha256(json.dumps(["parquet", FORMAT, kind, classes]).encode())
    for split, found in files.items():
        rows = len(targets[split])
        digest.update(json.dumps([split, rows]).encode())
        digest.update(targets[split].astype("<i8").tobytes())
        for row, image in _sampled(found, sampled_rows(rows), column):
            digest.update(json.dumps([row, hashlib.sha256(image).hexdigest()]).encode())
    return digest.hexdigest()[:16]


def sampled_rows(rows: int) -> list[int]:
    """The rows of a split whose images are part of the fingerprint."""
    if rows <= ALL_ROWS:
        return list(range(rows))
    return [round(k * (rows - 1) / (SAMPLED_ROWS - 1)) for k in range(SAMPLED_ROWS)]


def _sampled(files: Sequence[File], rows: list[int], column: str) -> Iterator[tuple[int, bytes]]:
    """The images of these rows of a split, sorted; a missing one is empty."""
    first = 0
    for file in files:
        with file.opened() as table, file.read_through():
            metadata = table.metadata
            for group in range(metadata.num_row_groups):
                count = metadata.row_group(group).num_rows
                wanted = [row - first for row in rows if first <= row < first + count]
                for row, value in _values(table, group, wanted, column):
                    try:
                        yield first + row, Images(file).encoded(value, "")
                    except DamagedImageError:
                        yield first + row, b""
                first += count


def _values(table: Any, group: int, wanted: list[int], column: str) -> Iterator[tuple[int, Any]]:
    start = 0
    batches = table.iter_batches(64, row_groups=[group], columns=[column]) if wanted else ()
    for batch in batches:
        for row in wanted:
            if start <= row < start + len(batch):
                yield row, batch.column(0)[row - start].as_py()
        start += len(batch)
        if start > wanted[-1]:
            return
