"""Image Parquet as on the Hugging Face hub: encoded images in a struct column {bytes, path}, classes in another."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs, parquet

from trainables.data.dataset import Dataset, Normalization, check_normalization
from trainables.data.decoding import channel_mode, check_shape, decode
from trainables.data.image_cache import About, Image, cached, read_about, read_split, write_split
from trainables.errors import TrainingError
from trainables.trial.specs import DataSpec

ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class File:
    """A Parquet file, local or remote."""

    filesystem: Any
    path: str
    size: int
    modified: int  # nanoseconds

    def open(self) -> Any:
        """The file as pyarrow reads it.

        Raises:
            TrainingError: it is no Parquet file, or an incomplete one.
        """
        try:
            return parquet.ParquetFile(self.filesystem.open_input_file(self.path))
        except (OSError, pa.ArrowInvalid) as error:
            raise TrainingError(
                f"{self.path}: not a readable Parquet file ({_first_line(error)}); it may be truncated, get it again"
            ) from error


def load_parquet(spec: DataSpec) -> Dataset:
    """The data set of `spec.train` and `spec.test`, decoded once on this machine.

    Classes are those of the hub's metadata where there is any, else 0 to the largest label of the training set;
    pixels are normalized by the mean and deviation of the training set, unless the specification gives others.

    Raises:
        TrainingError: a file is missing or damaged, or a row has no image or no class; the message names file and row.
    """
    files = {"train": find_files(spec.train, "train"), "test": find_files(spec.test, "test")}
    source = {split: [(file.path, file.size, file.modified) for file in found] for split, found in files.items()}
    folder = cached(
        spec.name or "parquet",
        ["parquet", spec.image, spec.label, source],
        lambda scratch: _build(scratch, files, spec),
    )
    about = read_about(folder)
    mean, std = spec.mean or about.mean, spec.std or about.std
    check_normalization(mean, std, len(about.mean))
    normalization = Normalization(mean, std)
    return Dataset(read_split(folder, "train"), read_split(folder, "test"), about.num_classes, normalization)


def find_files(paths: tuple[str, ...], key: str) -> list[File]:
    """The files that paths, globs and addresses name: in the order given, those of a glob sorted.

    Raises:
        TrainingError: one of them names nothing.
    """
    found: list[File] = []
    for path in paths:
        try:
            infos, filesystem = _look_up(path)
        except (OSError, pa.ArrowInvalid, pa.ArrowKeyError) as error:
            raise TrainingError(f"data.{key}: {path} can't be reached: {_first_line(error)}") from error
        files = [info for info in infos if info.type == fs.FileType.File]
        if not files:
            folder = any(info.type == fs.FileType.Directory for info in infos)
            remedy = "is a folder; add /*.parquet" if folder else "there is no such file; correct the path"
            raise TrainingError(f"data.{key}: {path}: {remedy}")
        found += [File(filesystem, info.path, info.size, info.mtime_ns or 0) for info in files]
    return found


def _look_up(address: str) -> tuple[list[Any], Any]:
    """The entry at an address, or the sorted entries that a glob matches (`*` within a folder, `**/` below it)."""
    literal, star, _ = address.partition("*")
    folder = literal.rpartition("/")[0] if star else address
    filesystem, path = fs.FileSystem.from_uri(folder) if "://" in address else (fs.LocalFileSystem(), folder)
    if not star:
        return filesystem.get_file_info([path]), filesystem
    pattern = re.escape(path + address[len(folder) :]).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
    listed = filesystem.get_file_info(fs.FileSelector(path, recursive="**" in address, allow_not_found=True))
    matching = (info for info in listed if re.fullmatch(pattern, info.path))
    return sorted(matching, key=lambda info: info.path), filesystem


def _build(scratch: Path, files: dict[str, list[File]], spec: DataSpec) -> About:
    opened = {split: [(file, file.open()) for file in found] for split, found in files.items()}
    counts = {split: sum(table.metadata.num_rows for _, table in tables) for split, tables in opened.items()}
    for split, count in counts.items():
        if count == 0:
            raise TrainingError(f"data.{split}: {files[split][0].path} has no rows")
    first_file, first_table = opened["train"][0]
    classes = _class_names(first_table, spec.label)
    mode, shape = _first_image(first_file, first_table, spec)

    def rows(split: str) -> Iterator[tuple[Image, int]]:
        for file, table in opened[split]:
            yield from _rows(file, table, spec, mode, shape, len(classes) or None)

    statistics = write_split(scratch, "train", counts["train"], rows("train"))
    write_split(scratch, "test", counts["test"], rows("test"))
    num_classes = len(classes) or 1 + int(read_split(scratch, "train").targets.max())
    largest = int(read_split(scratch, "test").targets.max())
    if largest >= num_classes:
        raise TrainingError(f"data.test has the class {largest}, but data.train only 0 to {num_classes - 1}")
    return About(num_classes, statistics.mean, statistics.std, tuple(classes))


def _class_names(table: Any, label: str) -> list[str]:
    """The class names in the hub's metadata, in the order of their numbers; an empty list without such metadata."""
    content = (table.schema_arrow.metadata or {}).get(b"huggingface")
    if content is None:
        return []
    feature = json.loads(content).get("info", {}).get("features", {}).get(label, {})
    names: list[str] = feature.get("names") or []
    return names


def _first_image(file: File, table: Any, spec: DataSpec) -> tuple[str, tuple[int, ...]]:
    for column in (spec.image, spec.label):
        if column not in table.schema_arrow.names:
            raise TrainingError(
                f"{file.path}: there is no column {column!r}, but {', '.join(table.schema_arrow.names)}; name them, as "
                "in data: {image: img, label: label}"
            )
    data = _encoded(next(table.iter_batches(1, columns=[spec.image])).column(0)[0].as_py(), f"{file.path}: row 0")
    mode = channel_mode(data, f"{file.path}: row 0")
    return mode, decode(data, mode, f"{file.path}: row 0").shape


def _rows(
    file: File, table: Any, spec: DataSpec, mode: str, shape: tuple[int, ...], num_classes: int | None
) -> Iterator[tuple[Image, int]]:
    number = 0
    try:
        for batch in table.iter_batches(ROWS_AT_ONCE, columns=[spec.image, spec.label]):
            images, labels = (batch.column(name).to_pylist() for name in (spec.image, spec.label))
            for value, label in zip(images, labels, strict=True):
                source = f"{file.path}: row {number}"
                image = decode(_encoded(value, source), mode, source)
                check_shape(image, shape, source)
                yield image, _class(label, num_classes, source)
                number += 1
    except (OSError, KeyError, pa.ArrowException) as error:
        raise TrainingError(
            f"{file.path}: damaged after row {number} ({_first_line(error)}); get the file again"
        ) from error


def _encoded(value: Any, source: str) -> bytes:
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        raise TrainingError(f"{source}: the image column holds no bytes; images must be in the Parquet file itself")
    return data


def _class(label: Any, num_classes: int | None, source: str) -> int:
    if isinstance(label, bool) or not isinstance(label, int) or label < 0 or label >= (num_classes or label + 1):
        known = f"0 to {num_classes - 1}" if num_classes else "0 or more"
        raise TrainingError(f"{source}: the class is {label!r}; it must be a whole number, {known}")
    return label


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
