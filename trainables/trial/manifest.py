"""Manifests: what is in the folder of a finished step, with its SHA-256; and a folder that hands out nothing else."""

import platform
import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

from analysis.address import without_secrets
from trainables.errors import DamagedError
from trainables.trial.code import commit
from trainables.trial.seal import SealError, different, digest, sealed_json, unsealed_json
from trainables.trial.storage import Folder, StoredFile

MANIFEST_FILE = "manifest.json"
FAILED_FILE = "failed.json"
RUN_FILE = "mlflow_run.json"
WORKER_FILE = "worker.json"
CLEANED_FILE = "cleaned.json"  # `renyi clean` has removed its checkpoints, or begun to
NOTES = (FAILED_FILE, WORKER_FILE, RUN_FILE, CLEANED_FILE)  # in no step's manifest, since they change on their own
LISTED_IN = "listed_in"  # the key of a record by which it says that there is a manifest
WRITTEN = "written"  # Unix time, the same in a record and its manifest
TRIALS_FOLDER = "trials"
PACKAGES = ("renyi-sharpness", "torch", "numpy", "ray", "pyarrow")

# What reading can raise that finds something else than was written: values of other types, too large, too deep.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, EOFError, OSError, RuntimeError)

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A file as it was written."""

    sha256: str
    size: int  # bytes

    @classmethod
    def of(cls, data: bytes) -> "Entry":
        """The entry of a file with these bytes."""
        return cls(digest(data), len(data))


@dataclass(frozen=True)
class Manifest:
    """The files of one finished step: of a trial's training, of a measurement, of evaluations under shifts."""

    written: float  # Unix time
    files: dict[str, Entry]
    environment: dict[str, str] = field(default_factory=dict)  # versions and machine that wrote it

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Manifest":
        """The manifest in the content of its file."""
        files = {name: Entry(**entry) for name, entry in content["files"].items()}
        return cls(content[WRITTEN], files, content.get("environment", {}))


class CheckedFolder:
    """A folder of a trial. What its manifest lists is handed out only with the bytes that were written.

    It keeps the digest of each file that it wrote or read, so that a manifest costs no second reading.
    """

    def __init__(self, folder: Folder, place: str) -> None:
        """A checked folder.

        Args:
            folder: where the files are.
            place: which folder of which trial it is, such as `0105ba9dbfe1/shifts`.
        """
        self.unchecked = folder
        self.place = place
        self.uri = folder.uri
        self.settling = folder.settling
        self._known: dict[str, Entry] = {}
        self._manifest: Manifest | None = None
        self._looked = False

    def __truediv__(self, name: str) -> "CheckedFolder":
        return CheckedFolder(self.unchecked / name, f"{self.place}/{name}")

    def read(self, name: str) -> bytes:
        """See `Folder`.

        Raises:
            DamagedError: the file or the manifest is not what was written.
        """
        data = self.unchecked.read(name)
        if self._differs(name, data):  # or it has just been written again, and its manifest too
            self._looked = False
            data = self.unchecked.read(name)
            problem = self._differs(name, data)
            if problem is not None:
                raise damaged(self, name, problem)
        self._known[name] = Entry.of(data)
        return data

    def write(self, name: str, data: bytes, check: Callable[[], None] | None = None) -> None:
        self.unchecked.write(name, data, check)
        self._known[name] = Entry.of(data)

    def create(self, name: str, data: bytes) -> bool:
        return self.unchecked.create(name, data)

    def names(self) -> list[str]:
        return self.unchecked.names()

    def folders(self) -> list[str]:
        return self.unchecked.folders()

    def tree(self) -> list[StoredFile]:
        return self.unchecked.tree()

    def remove(self) -> None:
        self.unchecked.remove()
        self._known.clear()
        self._looked = False

    def delete(self, name: str) -> None:
        self.unchecked.delete(name)
        self._known.pop(name, None)

    def clear(self, *names: str) -> None:
        self.unchecked.clear(*names)

    def manifest(self) -> Manifest | None:
        """The manifest as it was last read; None if there is none: the step is not finished, or older than manifests.

        Raises:
            DamagedError: the manifest is not what was written.
        """
        if not self._looked:
            try:
                data = self.unchecked.read(MANIFEST_FILE)
            except FileNotFoundError:
                self._manifest = None
            else:
                self._manifest = parsed(self, MANIFEST_FILE, data, self._parse_manifest)
            self._looked = True
        return self._manifest

    def lists(self, name: str) -> bool:
        """Whether the manifest has a file."""
        manifest = self.manifest()
        if manifest is None or name not in manifest.files:
            self._looked = False  # it may have just been written
            manifest = self.manifest()
        return manifest is not None and name in manifest.files

    def sha256(self, name: str) -> str:
        """The SHA-256 of a file that this object wrote or read, else of the file as it is read now."""
        return self._entry(name).sha256

    def complete(
        self,
        record: str,
        content: Mapping[str, Any],
        names: Iterable[str],
        check: Callable[[], None] | None = None,
    ) -> None:
        """Finish a step: write the manifest of its files, then its record, whose presence says that all is done.

        A process that is killed between the two leaves a step that is not finished, and is done again.

        Args:
            record: the name of the record.
            content: what it says.
            names: the other files of the step, which are there.
            check: called before each of the two is written, as by `Folder.write`.
        """
        written = time.time()
        data = sealed_json(f"{self.place}/{record}", {**content, WRITTEN: written, LISTED_IN: MANIFEST_FILE})
        files = {name: self._entry(name) for name in names} | {record: Entry.of(data)}
        self._write_manifest(Manifest(written, files, environment()), check)
        self.write(record, data, check)

    def list_files(self, names: Iterable[str]) -> None:
        """Write the manifest of files that no record completes."""
        self._write_manifest(Manifest(time.time(), {name: self._entry(name) for name in names}, environment()))

    def unlist(self, name: str) -> None:
        """Take a file out of the manifest, if it is there."""
        manifest = self.manifest()
        if manifest is not None and name in manifest.files:
            files = {other: entry for other, entry in manifest.files.items() if other != name}
            self._write_manifest(Manifest(manifest.written, files, manifest.environment))

    def _write_manifest(self, manifest: Manifest, check: Callable[[], None] | None = None) -> None:
        self.unchecked.write(MANIFEST_FILE, sealed_json(f"{self.place}/{MANIFEST_FILE}", asdict(manifest)), check)
        self._looked = False

    def _entry(self, name: str) -> Entry:
        if name not in self._known:
            self.read(name)
        return self._known[name]

    def _differs(self, name: str, data: bytes) -> SealError | None:
        """What is wrong with the bytes of a file, by the manifest."""
        manifest = None if name in NOTES else self.manifest()
        if manifest is None or name not in manifest.files:
            return None
        expected, found = manifest.files[name].sha256, digest(data)
        return None if expected == found else different(expected, found)

    def _parse_manifest(self, data: bytes) -> Manifest:
        return Manifest.from_json(unsealed_json(f"{self.place}/{MANIFEST_FILE}", data))


def checked(folder: Folder, place: str | None = None) -> CheckedFolder:
    """The folder as a checked one; its place is by default its name."""
    if isinstance(folder, CheckedFolder):
        return folder
    return CheckedFolder(folder, place or folder.uri.partition("?")[0].rstrip("/").rpartition("/")[2])


def place_of(folder: Folder, name: str) -> str:
    """Where a file belongs; outside trials that is its name, for a sweep's folder may be moved and renamed."""
    return f"{folder.place}/{name}" if isinstance(folder, CheckedFolder) else name


def parsed(folder: Folder, name: str, data: bytes, parse: Callable[[bytes], T]) -> T:
    """What a file says.

    Raises:
        DamagedError: it is not what was written, as far as `parse` can know.
    """
    try:
        return parse(data)
    except DamagedError:
        raise
    except UNREADABLE as error:
        raise damaged(folder, name, error) from error


def damaged(folder: Folder, name: str, why: Exception | str) -> DamagedError:
    """The error for a file that is not what was written: file, reason, and the command that mends it."""
    reason = str(why) or type(why).__name__
    if isinstance(why, Exception) and not isinstance(why, SealError):
        reason = f"can't be read ({type(why).__name__}: {reason})"
    reason = reason.splitlines()[0]
    error = DamagedError(f"{without_secrets((folder / name).uri)} is damaged: {reason}; {_remedy(folder)}")
    error.why = reason
    return error


def _remedy(folder: Folder) -> str:
    path, mark, query = folder.uri.partition("?")
    sweep, _, trial = path.partition(f"/{TRIALS_FOLDER}/")
    if not trial and not isinstance(folder, CheckedFolder):
        sweep = path.removesuffix("/driver")
    elif not trial:
        return "get the file again, or make it again"
    address = shlex.quote(without_secrets(f"{sweep}{mark}{query}"))
    return f"`renyi verify {address} --repair` removes what is damaged, and `renyi run` makes it again"


@cache
def environment() -> dict[str, str]:
    """The versions, the commit and the machine by which a result may differ, without importing anything heavy."""
    found = {"python": platform.python_version(), "machine": f"{platform.node()} {platform.machine()}"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    made_from = commit()
    return found | ({"commit": made_from} if made_from else {})
