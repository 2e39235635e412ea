"""Disks in memory: one of a machine, and one that several machines mount by NFS."""

import errno
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tests.simulator.world import World
from trainables.trial.disk import Disk

VALID = (0.0, 3.0, 30.0, 60.0)  # seconds for which an NFS client believes what it knows of a folder


@dataclass(eq=False)
class File:
    """What a name leads to."""

    data: bytes
    links: int = 1


class MemoryDisk(Disk):
    """A disk whose calls take effect at one moment each, in the order of the world.

    A request may be refused, or take effect and be answered by an error. Nothing that was answered is lost.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.files: dict[str, File] = {}
        self.folders: dict[str, dict[str, None]] = defaultdict(dict)

    def read(self, path: Path) -> bytes:
        self._world.step(f"read {path}")
        self._refuse()
        return self._at(path).data

    def write_new(self, path: Path, data: bytes) -> None:
        self._world.step(f"write {path}")
        fate = self._world.fate()
        self._fail(fate == "refused")
        if str(path) in self.files:
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        self._set(path, File(data))
        self._fail(fate == "lost")

    def rename(self, source: Path, target: Path) -> None:
        self._world.step(f"rename {source} to {target}")
        fate = self._world.fate()
        self._fail(fate == "refused")
        file = self._at(source)
        self._drop(source)
        self._set(target, file)
        self._world.replaced(str(target))
        self._fail(fate == "lost")

    def link(self, source: Path, target: Path) -> None:
        self._world.step(f"link {source} to {target}")
        fate = self._world.fate()
        self._fail(fate == "refused")
        file = self._at(source)
        if str(target) in self.files:
            raise FileExistsError(errno.EEXIST, "File exists", str(target))
        file.links += 1
        self._set(target, file)
        self._world.replaced(str(target))
        if fate == "lost":
            self._after_lost_link(target)

    def links(self, path: Path) -> int:
        self._world.step(f"count links of {path}")
        return self._at(path).links

    def unlink(self, path: Path) -> None:
        self._world.step(f"unlink {path}")
        fate = self._world.fate()
        self._fail(fate == "refused")
        if str(path) in self.files:
            self.files[str(path)].links -= 1
            self._drop(path)
        self._fail(fate == "lost")

    def names(self, path: Path) -> list[str]:
        self._world.step(f"list {path}")
        self._refuse()
        names = self._listed(str(path))
        if not names and str(path) not in self.folders:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return names

    def sync(self, path: Path) -> None:
        pass

    def room(self, path: Path) -> str:
        return "some MB free"

    def _listed(self, folder: str) -> list[str]:
        return list(self.folders.get(folder, ()))

    def _after_lost_link(self, target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    def _changed(self, folder: str) -> None:
        """Hook: this machine has changed a folder."""

    def _at(self, path: Path) -> File:
        file = self.files.get(str(path))
        if file is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return file

    def _set(self, path: Path, file: File) -> None:
        self.files[str(path)] = file
        folder, below = str(path.parent), path.name
        while below not in self.folders[folder]:
            self.folders[folder][below] = None
            self._changed(folder)
            upper, _, below = folder.rpartition("/")
            folder = upper
            if not folder:
                break
        self._changed(str(path.parent))

    def _drop(self, path: Path) -> None:
        del self.files[str(path)]
        self.folders[str(path.parent)].pop(path.name, None)
        self._changed(str(path.parent))

    def _refuse(self) -> None:
        self._fail(self._world.fate() != "done")

    def _fail(self, fails: bool) -> None:
        if fails:
            raise OSError(errno.EIO, "Input/output error")


class NfsDisk(MemoryDisk):
    """A disk that several machines mount by NFS, with the guarantees of close-to-open consistency.

    Each call reaches the server, so names are made, moved and read as they are. But a client lists a folder from what
    it knows of it, for up to a minute, unless it has changed the folder itself. A server whose answer to `link` was
    lost is asked again, and answers that the name exists.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._known: dict[tuple[str, str], tuple[float, list[str]]] = {}

    def _listed(self, folder: str) -> list[str]:
        key = self._world.process.host, folder
        until, names = self._known.get(key, (-1.0, []))
        if until <= self._world.now:
            names = super()._listed(folder)
            self._known[key] = self._world.now + self._world.choices.among(VALID), names
        return names

    def _changed(self, folder: str) -> None:
        self._known.pop((self._world.process.host, folder), None)

    def _after_lost_link(self, target: Path) -> None:
        raise FileExistsError(errno.EEXIST, "File exists", str(target))
