"""Labels of a set, whatever they are, and the classes that they stand for."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trainables.errors import TrainingError

Label = str | int  # what a class is called in the files: a name, a string or an integer
Kind = Literal["names", "strings", "integers"]
SHOWN = 12  # labels that a message lists


@dataclass(frozen=True)
class FileLabels:
    """The labels of one file: `labels[codes[row]]`."""

    kind: Kind
    labels: tuple[Label, ...]  # the distinct ones
    codes: npt.NDArray[np.int64]  # (rows,)
    names: tuple[str, ...] = ()  # of all classes, where the file has them, in its own order


def label_kind(column: Any) -> str | None:
    """Why a column can't be the labels of a set; None if it can."""
    kind = column.value_type if pa.types.is_dictionary(column) else column
    if _is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return None
    return f"labels must be integers or strings, not {column}"


def class_names(metadata: dict[bytes, bytes] | None, label: str) -> tuple[str, ...]:
    """The class names in the hub's metadata, in the order of their numbers; none without such metadata.

    Raises:
        ValueError: there are names, but they can't be read or are not distinct.
    """
    content = (metadata or {}).get(b"huggingface")
    if content is None:
        return ()
    try:
        found = json.loads(content)
    except ValueError as error:
        raise ValueError(f"the hub's metadata (`huggingface`) are not JSON ({error})") from error
    for key in ("info", "features", label):
        found = found.get(key) if isinstance(found, dict) else None
    feature = found.get("class_label", found) if isinstance(found, dict) else None
    names = feature.get("names") if isinstance(feature, dict) else None
    if isinstance(names, dict):  # {"0": name, …}, as in cards of data sets
        try:
            names = [names[str(number)] for number in range(len(names))]
        except KeyError as error:
            raise ValueError(f"the class names of the hub's metadata lack number {error}") from error
    if names is None or names == []:
        return ()
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"the class names of the hub's metadata are no list of strings: {_cut(names)}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"the class names of the hub's metadata have {twice[0]!r} more than once")
    return tuple(names)


def labels_of(column: Any, names: tuple[str, ...], source: str) -> FileLabels:
    """The labels in a column.

    Args:
        column: an Arrow array or chunked array.
        names: the file's class names, if it has any.
        source: the file, for messages.

    Raises:
        TrainingError: a row has no label, or one that the class names do not have.
    """
    codes, values = _encoded(column)
    if (codes < 0).any():
        raise _bad_row(source, codes < 0, None, "it must have a label; leave such rows out of the file")
    if not values or isinstance(values[0], str):
        return FileLabels("strings", tuple(values), codes, ())
    values = [int(value) for value in values]
    if not names:
        return FileLabels("integers", tuple(values), codes, ())
    for code, value in enumerate(values):
        if not 0 <= value < len(names):
            unlabelled = "on the hub -1 means no label; " if value == -1 else ""
            remedy = f"{unlabelled}it must be a whole number, 0 to {len(names) - 1}; leave such rows out of the file"
            raise _bad_row(source, codes == code, value, remedy)
    return FileLabels("names", tuple(names[value] for value in values), codes, names)


def _encoded(column: Any) -> tuple[npt.NDArray[np.int64], list[Any]]:
    """The rows' positions in the distinct values of a column, -1 for null; and these values."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    encoded = pc.dictionary_encode(column)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(
        np.int64
    ), encoded.dictionary.to_pylist()


def _bad_row(source: str, rows: npt.NDArray[np.bool_], label: Any, remedy: str) -> TrainingError:
    others = int(rows.sum()) - 1
    more = f" (and {others} more rows)" if others else ""
    return TrainingError(f"{source}: row {int(rows.argmax())}: the class is {label!r}; {remedy}{more}")


def classes_of(files: Sequence[FileLabels]) -> tuple[Label, ...]:
    """The classes of training files, in the order of their numbers.

    Names keep the order of the first file that has them. Strings are sorted, as numbers if all of them are numbers;
    integers are sorted. So integers that are 0 to C - 1 keep their numbers.
    """
    if any(file.kind == "names" for file in files):
        return tuple(dict.fromkeys(name for file in files for name in file.names))
    distinct = {label for file in files for label in file.labels}
    strings = [label for label in distinct if isinstance(label, str)]
    if strings:
        numbers = all(re.fullmatch(r"-?[0-9]{1,300}", label) for label in strings)
        return tuple(sorted(strings, key=lambda label: (int(label), label) if numbers else (0, label)))
    return tuple(sorted(distinct))


def means_no_label(classes: Sequence[Label]) -> bool:
    """Whether -1 among these integers marks rows without a label: it stands beside 0, 1, 2 and perhaps more."""
    return {-1, 0, 1, 2} <= {label for label in classes if isinstance(label, int)}


def listed(labels: Sequence[Label]) -> str:
    """Labels for a message; of many, the first and the last ones."""
    words = [str(label) for label in labels]
    return ", ".join(words if len(words) <= SHOWN else [*words[: SHOWN - 2], "…", words[-1]])


def _is_string(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _cut(value: Any) -> str:
    return repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:57]}…"
