"""What a folder on a disk asks of the operating system, a method a call, so that a test can be the disk."""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)  # errors of file systems without hard links: FAT, some of FUSE


class Disk:
    """The file systems that are mounted on this machine. Every call raises OSError as the system does."""

    def read(self, path: Path) -> bytes:
        """The bytes of a file."""
        return path.read_bytes()

    def write_new(self, path: Path, data: bytes) -> None:
        """Write a file that does not exist, and wait until it is on the disk; its folder is made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(path, data)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, in place of what has that name, in one step."""
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name; FileExistsError if that name is in use, also on NFS."""
        try:
            target.hardlink_to(source)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            _write_new(target, source.read_bytes())  # O_EXCL; a reader may see it incomplete

    def links(self, path: Path) -> int:
        """How many names a file has."""
        return path.stat().st_nlink

    def unlink(self, path: Path) -> None:
        """Remove a file, if it exists."""
        path.unlink(missing_ok=True)

    def names(self, path: Path) -> list[str]:
        """The names of all files and folders in a folder."""
        return [entry.name for entry in os.scandir(path)]

    def sync(self, path: Path) -> None:
        """Make a new name in a folder survive a loss of power, where the system supports that."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            with suppress(OSError):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def room(self, path: Path) -> str:
        """The free space on the disk of a path that may not exist yet."""
        there = next((folder for folder in (path, *path.parents) if folder.exists()), Path("/"))
        try:
            usage = shutil.disk_usage(there)
        except OSError:
            return "its disk does not answer"
        return f"{usage.free / 1e6:.1f} MB free of {usage.total / 1e6:.1f} MB"


DISK = Disk()


def _write_new(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
