"""The folders of a sweep: on a local disk, or in an object store through pyarrow.fs. Every write is atomic."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from analysis.address import without_secrets
from trainables.errors import StorageError, TrainingError
from trainables.trial.disk import DISK, Disk
from trainables.trial.machine import THIS_MACHINE, Machine

OBJECT_STORES = ("s3", "gcs", "abfs")  # pyarrow's names of stores where an object appears complete or not at all
ANSWER_SECONDS = 5  # for an object store that may have no credentials
SETTLING_SECONDS = 10.0  # for an object to arrive in an object store
RENAMES = 3  # tries to put a checked file in its place
CLAIM_SECONDS = 60.0  # after this, a claim to create a file is void: its process died before it could remove it


@dataclass(frozen=True)
class StoredFile:
    """A file as a listing shows it."""

    path: str  # from the folder that was listed, with slashes
    size: int  # bytes
    written: float  # Unix time of the last write, by the storage's clock


class Folder(Protocol):
    """The operations that a sweep needs on a folder. Each raises StorageError if the storage fails."""

    uri: str
    settling: float  # seconds after which a write that was begun has ended; 0 where `clear` ends it

    def __truediv__(self, name: str) -> "Folder":
        """A folder inside this one, which need not exist."""

    def read(self, name: str) -> bytes:
        """Read the bytes of a file; FileNotFoundError if there is none."""

    def write(self, name: str, data: bytes, check: Callable[[], None] | None = None) -> None:
        """Write or replace a file atomically: a reader sees all the old bytes or all the new ones.

        Args:
            name, data: the file.
            check: called at the last moment before the file is replaced; what it raises leaves the file as it was. On a
                disk and on NFS the new bytes are then beside it already, where `clear` by another process removes them.
        """

    def create(self, name: str, data: bytes) -> bool:
        """Create a file that does not exist; whether this call created it. Of several callers, at most one succeeds."""

    def names(self) -> list[str]:
        """The names of the files and folders inside, sorted; empty if the folder does not exist."""

    def delete(self, name: str) -> None:
        """Remove a file, if it exists."""

    def folders(self) -> list[str]:
        """The names of the folders inside, sorted; empty if the folder does not exist."""

    def tree(self) -> list[StoredFile]:
        """All files here and in the folders inside, unfinished ones included, sorted by path."""

    def remove(self) -> None:
        """Remove the folder with all that is in it, if it exists; one file after another."""

    def clear(self, *names: str) -> None:
        """Remove what killed writers of these files, or of any file, left unfinished. A write that still runs fails."""


def join(folder: str, name: str) -> str:
    """The path or address of a folder inside another one; the part of an address after `?` stays at its end."""
    path, mark, query = folder.partition("?") if is_remote(folder) else (folder, "", "")
    return f"{path.rstrip('/')}/{name}{mark}{query}"


def open_folder(uri: str) -> Folder:
    """Open the folder at a path, or at an address that pyarrow.fs knows (s3://, gs://, hdfs://)."""
    return RemoteFolder.at(uri) if is_remote(uri) else LocalFolder(Path(absolute(uri)))


def absolute(location: str) -> str:
    """A path that is valid in every process: absolute, with `~` expanded, and without `file://`.

    The address of an object store is unchanged.

    Raises:
        ValueError: a user whose home is not known; a file of another machine.
    """
    if is_remote(location):
        return location
    if location.startswith("file:"):
        address = urlsplit(location.replace("?", "%3F").replace("#", "%23"))
        if address.netloc not in ("", "localhost") or not address.path.startswith("/"):
            raise ValueError(f"must be file:///absolute/path, without a host; got {location!r}")
        return unquote(address.path)
    try:
        return str(Path(location).expanduser().absolute())
    except RuntimeError as error:
        raise ValueError(f"the home folder of {location.partition('/')[0]} is not known; got {location!r}") from error


def is_remote(uri: str) -> bool:
    """Whether this is the address of an object store, and not a path."""
    return "://" in uri and not uri.startswith("file:")


class LocalFolder:
    """A folder on a disk of this machine, or mounted on it."""

    settling = 0.0

    def __init__(self, path: Path, disk: Disk = DISK) -> None:
        self.path = path
        self.uri = str(path)
        self._disk = disk

    def __truediv__(self, name: str) -> "LocalFolder":
        return LocalFolder(self.path / name, self._disk)

    def read(self, name: str) -> bytes:
        with self._reported(name, "read", missing_is_no_error=True):
            return self._disk.read(self.path / name)

    def write(self, name: str, data: bytes, check: Callable[[], None] | None = None) -> None:
        with self._reported(name, "written"):
            for last in [False] * (RENAMES - 1) + [True]:
                with self._complete(name, data) as temporary:
                    if check is not None:
                        check()
                    try:
                        self._disk.rename(temporary, self.path / name)
                    except FileNotFoundError:  # removed by who claimed the folder, perhaps before this process did
                        if check is None or last:
                            raise
                    else:
                        return

    def create(self, name: str, data: bytes) -> bool:
        """See the protocol: making a hard link fails if the file already exists, on a disk as on NFS.

        An NFS server whose answer was lost is asked again, and then refuses what it has done. A second name of the
        file tells this from another caller's success.
        """
        with self._reported(name, "written"), self._complete(name, data) as temporary:
            try:
                self._disk.link(temporary, self.path / name)
            except FileNotFoundError:  # another process removed this call's file
                return False
            except FileExistsError:
                return self._disk.links(temporary) > 1
        return True

    def names(self) -> list[str]:
        with self._reported("", "read", missing_is_no_error=True), suppress(FileNotFoundError):
            return sorted(name for name in self._disk.names(self.path) if not name.startswith("."))
        return []

    def delete(self, name: str) -> None:
        with self._reported(name, "deleted"):
            self._disk.unlink(self.path / name)

    def folders(self) -> list[str]:
        with self._reported("", "read", missing_is_no_error=True), suppress(FileNotFoundError):
            return sorted(entry.name for entry in os.scandir(self.path) if entry.is_dir())
        return []

    def tree(self) -> list[StoredFile]:
        found: list[StoredFile] = []
        with self._reported("", "read"):
            for folder, _, names in os.walk(self.path):
                for name in names:
                    path = Path(folder) / name
                    with suppress(FileNotFoundError):  # replaced or removed since
                        status = path.stat()
                        relative = path.relative_to(self.path).as_posix()
                        found.append(StoredFile(relative, status.st_size, status.st_mtime))
        return sorted(found, key=lambda file: file.path)

    def remove(self) -> None:
        with self._reported("", "removed"), suppress(FileNotFoundError):
            shutil.rmtree(self.path)

    def clear(self, *names: str) -> None:
        with self._reported("", "read", missing_is_no_error=True):
            unfinished = [name for name in self._disk.names(self.path) if _is_unfinished(name, names)]
        for name in unfinished:
            self.delete(name)

    @contextmanager
    def _complete(self, name: str, data: bytes) -> Iterator[Path]:
        """The data in a complete file with a unique name, to be moved or linked: two writers never share a file."""
        temporary = self.path / _unfinished(name)
        try:
            self._disk.write_new(temporary, data)
            yield temporary
        finally:
            self._disk.unlink(temporary)
        self._disk.sync(self.path)

    @contextmanager
    def _reported(self, name: str, action: str, missing_is_no_error: bool = False) -> Iterator[None]:
        """Report an error in one line: the path, the reason, the free space, and how to go on."""
        try:
            yield
        except OSError as error:
            if missing_is_no_error and isinstance(error, FileNotFoundError):
                raise
            raise StorageError(
                f"{self.path / name} can't be {action}: {error.strerror or error} ({self._disk.room(self.path)}); "
                f"{_REMEDIES.get(error.errno or 0, 'correct that')}, then give the same command to go on from here"
            ) from error


def _unfinished(name: str) -> str:
    """The unique name of a file until it is complete."""
    return f".{name}.{uuid.uuid4().hex}"


def _is_unfinished(found: str, names: Collection[str]) -> bool:
    """Whether `found` is the name of an unfinished file: of one of `names`, or of any file if there are none."""
    match = re.fullmatch(r"\.(.+)\.[0-9a-f]{32}", found)
    return match is not None and (not names or match[1] in names)


_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "restore the permission to write there"),
}


class RemoteFolder:
    """A prefix in an object store, or a folder of another of pyarrow's file systems."""

    def __init__(self, filesystem: Any, path: str, uri: str, machine: Machine = THIS_MACHINE) -> None:
        self._filesystem = filesystem
        self._machine = machine
        self._path = path.rstrip("/")
        self.uri = uri
        self.settling = SETTLING_SECONDS if filesystem.type_name in OBJECT_STORES else 0.0

    @classmethod
    def at(cls, uri: str) -> "RemoteFolder":
        """The folder at an address.

        Raises:
            TrainingError: pyarrow knows no file system for it.
        """
        import pyarrow as pa
        from pyarrow import fs

        try:
            _ask_google(uri)
            filesystem, path = fs.FileSystem.from_uri(uri)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise TrainingError(f"storage {without_secrets(uri)!r} can't be opened: {reason}") from error
        return cls(filesystem, path, uri)

    def __truediv__(self, name: str) -> "RemoteFolder":
        return RemoteFolder(self._filesystem, f"{self._path}/{name}", join(self.uri, name), self._machine)

    def read(self, name: str) -> bytes:
        with self._reported(name, "read", missing_is_no_error=True):
            return self._read(name)

    def write(self, name: str, data: bytes, check: Callable[[], None] | None = None) -> None:
        with self._reported(name, "written"):
            if self._filesystem.type_name in OBJECT_STORES:
                if check is not None:
                    check()
                self._write(name, data)
                return
            temporary = _unfinished(name)
            self._filesystem.create_dir(self._path)
            self._write(temporary, data)
            if check is not None:
                check()
            self._filesystem.move(f"{self._path}/{temporary}", f"{self._path}/{name}")

    def create(self, name: str, data: bytes) -> bool:
        """See the protocol. The store has no exclusive creation, so callers list each other's claims.

        Each caller first writes a claim, then lists all claims, then looks for the file. A caller that finds another
        claim, or the file, withdraws. Of two callers, the one whose claim came second finds the claim of the first; or
        that claim is gone, and it finds the file. So two callers never both create the file, provided that a listing
        shows every object that was written before it began and still exists when it ends (true for S3, Google and
        Azure), and that no process stops for longer than CLAIM_SECONDS before its write. Two callers that find each
        other both withdraw: try again a little later.
        """
        claim = f"{name}.claim-{uuid.uuid4().hex}"
        begun = self._machine.monotonic()
        self.write(claim, b"")
        try:
            written = self._written()
            if claim not in written:  # removed by a driver that has a later lease
                return False
            rivals = [
                other
                for other, when in written.items()
                if other.startswith(f"{name}.claim-") and other != claim and written[claim] - when < CLAIM_SECONDS
            ]
            if rivals or self._has(name) or self._machine.monotonic() - begun > CLAIM_SECONDS / 2:
                return False
            self.write(name, data)
        finally:
            self.delete(claim)
        return True

    def names(self) -> list[str]:
        return sorted(self._written())

    def delete(self, name: str) -> None:
        with self._reported(name, "deleted"), suppress(FileNotFoundError):
            self._filesystem.delete_file(f"{self._path}/{name}")

    def folders(self) -> list[str]:
        from pyarrow import fs

        return sorted(info.base_name for info in self._found() if info.type == fs.FileType.Directory)

    def tree(self) -> list[StoredFile]:
        from pyarrow import fs

        files = [
            StoredFile(
                info.path.removeprefix(f"{self._path}/"), info.size, info.mtime.timestamp() if info.mtime else 0.0
            )
            for info in self._found(recursive=True)
            if info.type == fs.FileType.File
        ]
        return sorted(files, key=lambda file: file.path)

    def remove(self) -> None:
        with self._reported("", "removed"), suppress(FileNotFoundError):
            self._filesystem.delete_dir(self._path)

    def clear(self, *names: str) -> None:
        for name in self._listing():
            if _is_unfinished(name, names):
                self.delete(name)

    def _read(self, name: str) -> bytes:
        with self._filesystem.open_input_stream(f"{self._path}/{name}") as stream:
            data: bytes = stream.read()
        return data

    def _write(self, name: str, data: bytes) -> None:
        with self._filesystem.open_output_stream(f"{self._path}/{name}") as stream:
            stream.write(data)  # in one call: if a part fails, the upload stays unfinished and the old object is kept

    def _has(self, name: str) -> bool:
        from pyarrow import fs

        with self._reported(name, "read"):
            return bool(self._filesystem.get_file_info(f"{self._path}/{name}").type != fs.FileType.NotFound)

    def _written(self) -> dict[str, float]:
        """The listing without unfinished files."""
        return {name: when for name, when in self._listing().items() if not name.startswith(".")}

    def _listing(self) -> dict[str, float]:
        """The names of all files and folders inside, with the time of each last write by the store's clock."""
        return {info.base_name: info.mtime.timestamp() if info.mtime else 0.0 for info in self._found()}

    def _found(self, recursive: bool = False) -> list[Any]:
        """What pyarrow tells of the files and folders inside."""
        from pyarrow import fs

        with self._reported("", "read"):
            selector = fs.FileSelector(self._path, allow_not_found=True, recursive=recursive)
            found: list[Any] = self._filesystem.get_file_info(selector)
        return found

    @contextmanager
    def _reported(self, name: str, action: str, missing_is_no_error: bool = False) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError) as error:
            if missing_is_no_error and isinstance(error, FileNotFoundError):
                raise
            address = without_secrets(join(self.uri, name) if name else self.uri)
            raise StorageError(
                f"{address} can't be {action}: {str(error).splitlines()[0]}; correct that, then give the same command "
                "to go on from here"
            ) from error


@cache
def _ask_google(uri: str) -> None:
    """Ask Google's storage once whether it answers this process: without credentials it would try for 15 minutes."""
    if not uri.startswith(("gs://", "gcs://")) or "retry_limit_seconds=" in uri:
        return
    from pyarrow import fs

    joint = "&" if "?" in uri else "?"
    filesystem, path = fs.FileSystem.from_uri(f"{uri}{joint}retry_limit_seconds={ANSWER_SECONDS}")
    filesystem.get_file_info([path])
