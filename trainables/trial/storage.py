"""Folders that hold a sweep: on a local disk, or in an object store through pyarrow.fs. Every write is atomic."""

import errno
import os
import re
import shutil
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from trainables.errors import StorageError, TrainingError

OBJECT_STORES = ("s3", "gcs", "abfs")  # pyarrow's names of those where an object appears whole, or not at all
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)  # what file systems without hard links say: FAT, some of FUSE
CLAIM_SECONDS = 60.0  # a claim to create a file, left by a process that died half way, is void after this


class Folder(Protocol):
    """The few things that a sweep needs of a place to keep files. All of them raise StorageError where it fails."""

    uri: str

    def __truediv__(self, name: str) -> "Folder":
        """A folder inside this one; it need not exist."""

    def read(self, name: str) -> bytes:
        """The bytes of a file; FileNotFoundError where there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Replace a file as a whole: a reader sees the old bytes or the new ones, never a part."""

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that is not there yet; whether this call made it. Of several callers at most one is told so."""

    def names(self) -> list[str]:
        """Names of the files and folders inside, sorted; none where the folder does not exist."""

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""

    def clear(self, *names: str) -> None:
        """Remove what writers of these files, or of any, left when they were killed half way; one still at it fails."""


def join(place: str, name: str) -> str:
    """A folder inside the one at a path or address; what follows the `?` of an address stays at its end."""
    path, mark, query = place.partition("?") if is_remote(place) else (place, "", "")
    return f"{path.rstrip('/')}/{name}{mark}{query}"


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
        with self._told(name, "read", missing_is_answer=True):
            return (self.path / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        with self._told(name, "written"), self._whole(name, data) as temporary:
            temporary.replace(self.path / name)

    def create(self, name: str, data: bytes) -> bool:
        """As the protocol says: a second link fails where there is a file already, on a disk as on NFS."""
        with self._told(name, "written"), self._whole(name, data) as temporary:
            try:
                _link(temporary, self.path / name)
            except (FileExistsError, FileNotFoundError):  # one who was first made it, or cleared this one's away
                return False
        return True

    def names(self) -> list[str]:
        with self._told("", "read", missing_is_answer=True), suppress(FileNotFoundError):
            return sorted(entry.name for entry in os.scandir(self.path) if not entry.name.startswith("."))
        return []

    def delete(self, name: str) -> None:
        with self._told(name, "deleted"):
            (self.path / name).unlink(missing_ok=True)

    def clear(self, *names: str) -> None:
        with self._told("", "read", missing_is_answer=True):
            unfinished = [entry.name for entry in os.scandir(self.path) if _is_unfinished(entry.name, names)]
        for name in unfinished:
            self.delete(name)

    @contextmanager
    def _whole(self, name: str, data: bytes) -> Iterator[Path]:
        """The data on disk under a name of this call's own, to be moved: writers never share a half-written file."""
        self.path.mkdir(parents=True, exist_ok=True)
        temporary = self.path / _unfinished(name)
        try:
            _write_new(temporary, data)
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(self.path)

    @contextmanager
    def _told(self, name: str, action: str, missing_is_answer: bool = False) -> Iterator[None]:
        """Say in one line which path, what is wrong with it, how much room there is, and how to go on."""
        try:
            yield
        except OSError as error:
            if missing_is_answer and isinstance(error, FileNotFoundError):
                raise
            raise StorageError(
                f"{self.path / name} can't be {action}: {error.strerror or error} ({_room(self.path)}); "
                f"{_REMEDIES.get(error.errno or 0, 'mend that')}, and the same command goes on from here"
            ) from error


def _unfinished(name: str) -> str:
    """What a file is called, which nobody else writes, until it is whole."""
    return f".{name}.{uuid.uuid4().hex}"


def _is_unfinished(found: str, names: Collection[str]) -> bool:
    """Whether that is what one of these files, or with none of them any, is called until it is whole."""
    match = re.fullmatch(r"\.(.+)\.[0-9a-f]{32}", found)
    return match is not None and (not names or match[1] in names)


_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give back the permission to write there"),
}


def _write_new(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _link(source: Path, target: Path) -> None:
    """Give a file a second name that was free; FileExistsError where it was not."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        _write_new(target, source.read_bytes())  # O_EXCL; a reader may see it half-written


def _sync_folder(path: Path) -> None:
    """Make a new name in a folder outlive a loss of power, where the system can."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _room(path: Path) -> str:
    """How much is free on the disk that a path is, or would be, on."""
    there = next((folder for folder in (path, *path.parents) if folder.exists()), Path("/"))
    try:
        usage = shutil.disk_usage(there)
    except OSError:
        return "its disk does not answer"
    return f"{usage.free / 1e6:.1f} MB free of {usage.total / 1e6:.1f} MB"


class RemoteFolder:
    """A prefix in an object store, or a folder of another of pyarrow's file systems."""

    def __init__(self, filesystem: Any, path: str, uri: str) -> None:
        self._filesystem = filesystem
        self._path = path.rstrip("/")
        self.uri = uri

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
        except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
            raise TrainingError(f"storage {without_secrets(uri)!r} can't be opened: {error}") from error
        return cls(filesystem, path, uri)

    def __truediv__(self, name: str) -> "RemoteFolder":
        return RemoteFolder(self._filesystem, f"{self._path}/{name}", join(self.uri, name))

    def read(self, name: str) -> bytes:
        with self._told(name, "read", missing_is_answer=True):
            return self._read(name)

    def write(self, name: str, data: bytes) -> None:
        with self._told(name, "written"):
            if self._filesystem.type_name in OBJECT_STORES:
                self._write(name, data)
                return
            temporary = _unfinished(name)
            self._filesystem.create_dir(self._path)
            self._write(temporary, data)
            self._filesystem.move(f"{self._path}/{temporary}", f"{self._path}/{name}")

    def create(self, name: str, data: bytes) -> bool:
        """As the protocol says, in a store that has no exclusive creation, by listing what others are about to create.

        Each caller first writes a claim, then lists the claims of all, then looks for the file. Whoever sees another's
        claim, or the file, withdraws; of two callers, the one whose claim came second sees the first's, or that it is
        gone, and then the file. So two never create, given that a listing shows what was written before it began and
        is there when it ends (S3, Google and Azure do; it need not be of one moment), unless a process stands still
        for longer than CLAIM_SECONDS before its write. Two that see each other both withdraw: try again a little later.
        """
        claim = f"{name}.claim-{uuid.uuid4().hex}"
        begun = time.monotonic()
        self.write(claim, b"")
        try:
            written = self._written()
            rivals = [
                other
                for other, when in written.items()
                if other.startswith(f"{name}.claim-") and other != claim and written[claim] - when < CLAIM_SECONDS
            ]
            if rivals or self._has(name) or time.monotonic() - begun > CLAIM_SECONDS / 2:
                return False
            self.write(name, data)
        finally:
            self.delete(claim)
        return True

    def names(self) -> list[str]:
        return sorted(self._written())

    def delete(self, name: str) -> None:
        with self._told(name, "deleted"), suppress(FileNotFoundError):
            self._filesystem.delete_file(f"{self._path}/{name}")

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
            stream.write(data)  # in one call: a part that fails leaves the upload unfinished, and so the old object

    def _has(self, name: str) -> bool:
        from pyarrow import fs

        with self._told(name, "read"):
            return bool(self._filesystem.get_file_info(f"{self._path}/{name}").type != fs.FileType.NotFound)

    def _written(self) -> dict[str, float]:
        """The listing without what is not finished."""
        return {name: when for name, when in self._listing().items() if not name.startswith(".")}

    def _listing(self) -> dict[str, float]:
        """Names of all files and folders inside, and when each was written by the clock of the store."""
        from pyarrow import fs

        with self._told("", "read"):
            found = self._filesystem.get_file_info(fs.FileSelector(self._path, allow_not_found=True))
        return {info.base_name: info.mtime.timestamp() if info.mtime else 0.0 for info in found}

    @contextmanager
    def _told(self, name: str, action: str, missing_is_answer: bool = False) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if missing_is_answer and isinstance(error, FileNotFoundError):
                raise
            place = without_secrets(join(self.uri, name) if name else self.uri)
            raise StorageError(
                f"{place} can't be {action}: {str(error).splitlines()[0]}; mend that, and the same command goes on "
                "from here"
            ) from error


def without_secrets(address: str) -> str:
    """An address that may be shown: the password in `scheme://user:password@host` is left out."""
    return re.sub(r"(://[^:/@]*:)[^@/]*@", r"\1***@", address)
