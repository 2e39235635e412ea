"""Folders that hold a sweep: on a local disk, or in an object store through pyarrow.fs. Every write is atomic."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any, Protocol

from trainables.errors import TrainingError


class Folder(Protocol):
    """The few things that a sweep needs of a place to keep files."""

    uri: str

    def __truediv__(self, name: str) -> "Folder":
        """A folder inside this one; it need not exist."""

    def read(self, name: str) -> bytes:
        """The bytes of a file; FileNotFoundError where there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Replace a file as a whole: a reader sees the old bytes or the new ones, never a part."""

    def names(self) -> list[str]:
        """Names of the files and folders inside, sorted; none where the folder does not exist."""

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""


def open_folder(uri: str) -> Folder:
    """The folder at a path, or at an address that pyarrow.fs knows (s3://, gs://, hdfs://)."""
    return RemoteFolder.at(uri) if is_remote(uri) else LocalFolder(Path(uri.removeprefix("file://")))


def absolute(place: str) -> str:
    """A path made absolute, `~` included, so that it means the same in every process; an address as it is."""
    return place if "://" in place else str(Path(place).expanduser().absolute())


def is_remote(uri: str) -> bool:
    """Whether the address names an object store rather than a path."""
    return "://" in uri and not uri.startswith("file://")


class LocalFolder:
    """A folder on a disk that this machine has mounted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.uri = str(path)

    def __truediv__(self, name: str) -> "LocalFolder":
        return LocalFolder(self.path / name)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        # A name of its own for each writer: two processes that write the same file never share a half-written one.
        descriptor, temporary = tempfile.mkstemp(dir=self.path, prefix=f".{name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def names(self) -> list[str]:
        try:
            return sorted(entry.name for entry in os.scandir(self.path) if not entry.name.startswith("."))
        except FileNotFoundError:
            return []

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)


class RemoteFolder:
    """A prefix in an object store; an object appears whole when its stream is closed."""

    def __init__(self, filesystem: Any, path: str, uri: str) -> None:
        self._filesystem = filesystem
        self._path = path.rstrip("/")
        self.uri = uri.rstrip("/")

    @classmethod
    def at(cls, uri: str) -> "RemoteFolder":
        """The folder at an address.

        Raises:
            TrainingError: pyarrow knows no file system for it.
        """
        import pyarrow as pa
        from pyarrow import fs

        try:
            filesystem, path = fs.FileSystem.from_uri(uri)
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            raise TrainingError(f"storage {uri!r} can't be opened: {error}") from error
        return cls(filesystem, path, uri)

    def __truediv__(self, name: str) -> "RemoteFolder":
        return RemoteFolder(self._filesystem, f"{self._path}/{name}", f"{self.uri}/{name}")

    def read(self, name: str) -> bytes:
        with self._filesystem.open_input_stream(f"{self._path}/{name}") as stream:
            data: bytes = stream.read()
        return data

    def write(self, name: str, data: bytes) -> None:
        with self._filesystem.open_output_stream(f"{self._path}/{name}") as stream:
            stream.write(data)

    def names(self) -> list[str]:
        from pyarrow import fs

        selector = fs.FileSelector(self._path, allow_not_found=True)
        return sorted(info.base_name for info in self._filesystem.get_file_info(selector))

    def delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._filesystem.delete_file(f"{self._path}/{name}")
