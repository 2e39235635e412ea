"""The Parquet files of a set: found by paths, globs and addresses, opened, and read in batches."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyarrow import fs, parquet

from analysis.address import without_secrets
from analysis.one_line import message_of
from trainables.errors import TrainingError
from trainables.trial.specs import DataSpec

PACKAGES = {"hf": "huggingface_hub"}  # what pyarrow needs beside itself, by the scheme of an address
GLOB_CHARACTERS = "*?[{"
BUFFER = 8 << 20  # bytes of a column that are read at a time


class UnreachableError(TrainingError):
    """The files of a data set are not there, or can't be listed from this machine."""


@dataclass(frozen=True)
class File:
    """A Parquet file, local or remote."""

    filesystem: Any
    path: str
    size: int
    modified: int  # nanoseconds; 0 where the storage does not say

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """The file as pyarrow reads it. Pages that carry checksums are checked.

        Raises:
            TrainingError: it is no Parquet file, or an incomplete one.
        """
        try:
            source = self.filesystem.open_input_file(self.path)
            file = parquet.ParquetFile(source, buffer_size=BUFFER, page_checksum_verification=True)
            _ = file.schema_arrow  # decoded here, where an error says what is damaged
        except Exception as error:
            raise TrainingError(
                f"{self.path}: not a readable Parquet file ({message_of(error)}); it may be truncated, get it again"
            ) from error
        with source:
            yield file

    @contextmanager
    def read_through(self) -> Iterator[None]:
        """Name the file in whatever pyarrow raises on damaged pages."""
        try:
            yield
        except TrainingError:
            raise
        except Exception as error:
            raise TrainingError(f"{self.path}: damaged ({message_of(error)}); get the file again") from error

    def damaged(self, row: int, error: BaseException) -> TrainingError:
        """The error for a file whose rows can't be read from a certain one on."""
        return TrainingError(f"{self.path}: damaged after row {row} ({message_of(error)}); get the file again")


def files_of(spec: DataSpec) -> dict[str, list[File]]:
    """The files of each split of a set.

    Raises:
        UnreachableError: something that the specification names is not there; a line for each.
    """
    found: dict[str, list[File]] = {}
    problems: list[str] = []
    for split in ("train", "test"):
        try:
            found[split] = find_files(getattr(spec, split), split)
        except UnreachableError as error:
            problems.append(str(error))
    if problems:
        raise UnreachableError("\n".join(problems))
    return found


def find_files(paths: tuple[str, ...], key: str) -> list[File]:
    """The files that paths, globs and addresses name: in the order given, those of a glob sorted.

    A glob may have `*`, `?`, `[0-9]`, `[!a]` and `{a,b}` in the name of a file or folder, and `**/` for any folders.
    In an address `?` begins its options. A file whose own name has such characters is found by that name.

    Raises:
        UnreachableError: one of them names nothing.
    """
    found: list[File] = []
    for path in paths:
        name = f"data.{key}: {without_secrets(path)}"
        try:
            infos, filesystem = _look_up(path)
        except ImportError as error:
            package = PACKAGES.get(path.partition("://")[0], "")
            remedy = f"pip install {package}" if package else "install it"
            raise UnreachableError(
                f"{name} needs a package that is not installed ({message_of(error)}); {remedy}"
            ) from error
        except Exception as error:
            raise UnreachableError(f"{name} can't be reached: {message_of(error)}") from error
        files = [info for info in infos if info.type == fs.FileType.File]
        if not files:
            folder = any(info.type == fs.FileType.Directory for info in infos)
            remedy = "is a folder; add /*.parquet" if folder else "there is no such file; correct the path"
            raise UnreachableError(f"{name}: {remedy}")
        found += [File(filesystem, info.path, info.size, info.mtime_ns or 0) for info in files]
    return found


def _look_up(address: str) -> tuple[list[Any], Any]:
    """The entry at an address, or the sorted entries that a glob matches."""
    remote = "://" in address
    path, mark, options = address.partition("?") if remote else (address, "", "")
    special = "".join(set(GLOB_CHARACTERS) - {"?"}) if remote else GLOB_CHARACTERS
    literal = re.split(f"[{re.escape(special)}]", path, maxsplit=1)[0]
    if literal == path:
        filesystem, path = fs.FileSystem.from_uri(address) if remote else (fs.LocalFileSystem(), address)
        return filesystem.get_file_info([path]), filesystem
    folder = literal.rpartition("/")[0]
    filesystem, base = fs.FileSystem.from_uri(folder + mark + options) if remote else (fs.LocalFileSystem(), folder)
    rest = path[len(folder) :]
    by_name = filesystem.get_file_info([base + rest])
    if by_name[0].type == fs.FileType.File:
        return by_name, filesystem
    pattern = re.compile(re.escape(base) + glob_pattern(rest))
    below = fs.FileSelector(base or "/", recursive="/" in rest[1:] or "**" in rest, allow_not_found=True)
    matching = (info for info in filesystem.get_file_info(below) if pattern.fullmatch(info.path))
    return sorted(matching, key=lambda info: info.path), filesystem


def glob_pattern(glob: str) -> str:
    """A glob as a regular expression. A bracket that is not closed stands for itself."""
    tokens = re.compile(r"\*\*/|\*+|\?|\[!?[^]/]+\]|\{[^{}]*\}|.", re.DOTALL)
    return "".join(_translated(token) for token in tokens.findall(glob))


def _translated(token: str) -> str:
    if token == "**/":
        return "(?:.*/)?"
    if token.startswith("*"):
        return "[^/]*"
    if token == "?":
        return "[^/]"
    if len(token) > 1 and token.startswith("["):
        inside = token[1:-1].replace("\\", r"\\").replace("[", r"\[")
        return f"[^/{inside[1:]}]" if inside.startswith("!") else f"[{inside.replace('^', chr(92) + '^')}]"
    if len(token) > 1 and token.startswith("{"):
        return f"(?:{'|'.join(glob_pattern(part) for part in token[1:-1].split(','))})"
    return re.escape(token)
