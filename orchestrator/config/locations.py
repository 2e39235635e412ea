"""Where a sweep's paths and addresses lead: absolute, so that they mean the same in every process.

In a sweep file `~` and `$VARIABLE` are expanded (`$$` is a dollar sign), and a relative path begins at the file's
folder. What a command's options or the environment name begins at the current folder, as in any shell.
"""

import errno
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from analysis.address import without_secrets
from orchestrator.config.problems import ConfigProblem, shown
from orchestrator.errors import UsageError
from trainables.trial.storage import absolute, is_remote, join

STORAGE_VARIABLE = "RENYI_STORAGE"
TRACKING_VARIABLE = "RENYI_TRACKING"
DEFAULT_STORAGE = "~/renyi"
STORES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")  # schemes that pyarrow.fs knows
DATABASES = ("sqlite", "postgres", "postgresql", "mysql", "mssql")
DATABASE_FILE = "mlflow.db"  # in the storage, where no tracking address is given
ARTIFACTS = "mlartifacts"
LONGEST_NAME = 255  # bytes, on the file systems of Linux and macOS
LONGEST_PATH = 3840  # of Linux's 4096 bytes; the rest is for what lies in the folder

_VARIABLE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")
_SQLITE = re.compile(r"(?P<scheme>sqlite(?:\+\w+)?:///)(?P<path>[^?]*)(?P<query>.*)", re.DOTALL)
_DECODED = re.compile(r"%[0-9a-fA-F]{2}|\?")  # what databases' addresses and MLflow read as something else


@dataclass
class Locations:
    """The storage, tracking address and data of a sweep, and what is wrong with them."""

    storage: str = ""
    tracking: str | None = None
    data: dict[str, Any] = field(default_factory=dict)  # root, train, test: those that the file names
    problems: list[ConfigProblem] = field(default_factory=list)


def storage_of(option: str | None) -> str:
    """The storage that a command's option names, or else this machine.

    Raises:
        UsageError: it is neither a folder nor an address of a known kind.
    """
    try:
        return _storage(option or os.environ.get(STORAGE_VARIABLE) or DEFAULT_STORAGE)
    except ValueError as error:
        raise UsageError(f"--storage: {error}") from error


def tracking_of_machine() -> str | None:
    """The tracking address that the environment names, as it is written there; None where it names none."""
    return os.environ.get(TRACKING_VARIABLE) or None


def tracking_of(option: str) -> str:
    """The tracking address that a command's option names; a SQLite file's is made absolute.

    Raises:
        UsageError: it is not the address of a server or database.
    """
    try:
        return _tracking(option)
    except ValueError as error:
        raise UsageError(f"--tracking: {error}") from error


def locate(raw: Mapping[str, Any], folder: Path, given: Mapping[str, str | None], elsewhere: bool = False) -> Locations:
    """Find out where a sweep file leads. Looks at the disk, and creates nothing.

    Args:
        raw: the content of the file; values that are no text are left to the checks of types.
        folder: where the file is.
        given: the command's own `storage` and `tracking`, which win.
        elsewhere: the sweep runs on another machine, whose variables and disk are not known here.
    """
    found = Locations()
    name = raw.get("name") if isinstance(raw.get("name"), str) else None
    of_file = _InFile(folder, elsewhere)

    def located(key: str, place: Callable[[str], str], text: str) -> str:
        try:
            return place(text)
        except ValueError as error:
            found.problems.append(ConfigProblem(key, str(error)))
            return text

    found.storage, storage_is_of_file = _first(
        given.get("storage"), raw.get("storage"), os.environ.get(STORAGE_VARIABLE), DEFAULT_STORAGE
    )
    place_storage = (lambda text: of_file.storage(text, name)) if storage_is_of_file else _storage
    if isinstance(found.storage, str):
        found.storage = located("storage", place_storage, found.storage)
        if name is not None and len(name) <= LONGEST_NAME and not found.problems and not elsewhere:
            located("storage", _check_folder, join(found.storage, name))
    found.tracking, tracking_is_of_file = _first(
        given.get("tracking"), raw.get("tracking"), os.environ.get(TRACKING_VARIABLE), None
    )
    if isinstance(found.tracking, str):
        found.tracking = located("tracking", of_file.tracking if tracking_is_of_file else _tracking, found.tracking)
    if not found.problems and isinstance(found.storage, str):
        found.problems += _clashes(found.storage, found.tracking, name)
    data = raw.get("data")
    named: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
    for key in ("root", "train", "test"):
        value = named.get(key)
        if isinstance(value, str) and value:
            found.data[key] = located(f"data.{key}", of_file.data, value)
        elif isinstance(value, list):
            found.data[key] = [
                located(f"data.{key}[{index}]", of_file.data, each) if isinstance(each, str) and each else each
                for index, each in enumerate(value)
            ]
    return found


def _first(option: str | None, in_file: Any, of_machine: str | None, default: str | None) -> tuple[Any, bool]:
    """The value that wins, and whether the file has it."""
    if option is not None:
        return option, False
    if in_file is not None and in_file != "":
        return in_file, True
    return of_machine or default, False


@dataclass(frozen=True)
class _InFile:
    """How texts in a sweep file become absolute."""

    folder: Path
    elsewhere: bool

    def storage(self, text: str, name: str | None) -> str:
        return _storage(self._beside(text, lambda path: path / (name or "")))

    def tracking(self, text: str) -> str:
        sqlite = _SQLITE.fullmatch(text)
        if sqlite is None:
            return _tracking(self._expanded(text))
        return _tracking(sqlite["scheme"] + self._beside(sqlite["path"]) + sqlite["query"])

    def data(self, text: str) -> str:
        path = self._beside(text, lambda path: Path(str(path).partition("*")[0]))
        if "://" in path and not path.startswith("file:"):
            _split(path)
            _check_open(path)
        return absolute(path)

    def _expanded(self, text: str) -> str:
        if self.elsewhere:
            return text
        unset = [name for _, plain, braced in _VARIABLE.findall(text) if (name := plain or braced) not in os.environ]
        unset = [name for name in unset if name]
        if unset:
            names = ", ".join(f"${name}" for name in dict.fromkeys(unset))
            raise ValueError(f"{names} is not set; set it, or write $$ for a dollar sign; got {shown(text)}")
        return _VARIABLE.sub(lambda found: found[1] or os.environ[found[2] or found[3]], text)

    def _beside(self, text: str, look_at: Callable[[Path], Path] = Path) -> str:
        """The path that a text in the file means, where it is one.

        Raises:
            ValueError: what earlier versions found in the current folder is there, and nothing is at the new place.
        """
        text = self._expanded(text)
        if "://" in text or text.startswith(("/", "~", "file:")) or not text or text == ":memory:":
            return text
        if self.elsewhere:
            if text.startswith("$"):
                return text
            raise ValueError(
                f"the relative path {shown(text)} would begin at another folder on the cluster; write an absolute one, "
                "with ~ or $VARIABLE of the cluster where that helps"
            )
        here, before = self.folder / text, Path.cwd() / text
        try:
            is_before = look_at(before).exists() and not look_at(here).exists()
        except OSError:
            is_before = False
        if is_before:
            raise ValueError(
                f"the relative path {shown(text)} begins at the sweep file: {here}, where nothing is. In earlier "
                f"versions it began at the current folder; to go on with what is there, write {before}"
            )
        return str(here)


def _storage(text: str) -> str:
    if is_remote(text):
        address = _split(text)
        if address.scheme not in STORES:
            raise ValueError(f"must be a folder or an address ({'://, '.join(STORES)}://); got {shown(text)}")
        if not address.netloc and address.scheme not in ("hdfs", "viewfs"):
            raise ValueError(f"has no bucket; got {shown(text)}")
        _check_open(text)
        return text
    path = absolute(text)
    if "/../" in f"{path}/":
        path = os.path.realpath(path)
    return path


def _tracking(text: str) -> str:
    sqlite = _SQLITE.fullmatch(text)
    if sqlite is not None and sqlite["path"] not in ("", ":memory:"):
        path = absolute(sqlite["path"])
        if Path(path).is_dir():
            raise ValueError(f"{path} is a folder, not a SQLite file")
        return sqlite["scheme"] + path + sqlite["query"]
    scheme = re.match(r"(\w+)(\+\w+)?://", text)
    if text.startswith("sqlite"):
        raise ValueError(f"names no file: sqlite:///file.db is beside the sweep file; got {shown(text)}")
    if scheme is None or scheme[1] not in ("http", "https", *DATABASES):
        raise ValueError(
            f"must be the address of an MLflow server (http://, https://) or of a database (sqlite:///, postgresql://, "
            f"mysql://, mssql://); got {shown(text)}"
        )
    if not _split(text).hostname and scheme[1] in ("http", "https"):
        raise ValueError(f"has no host; got {shown(text)}")
    return text


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"is not a valid address ({error}); got {shown(address)}") from error
    return parts


def _check_open(address: str) -> None:
    """Raise a ValueError if an address, which is written into the store and the record, holds a secret."""
    hidden = without_secrets(address)
    if hidden != address:
        raise ValueError(
            f"{hidden} has a user, password or key in it, which would be written into the storage and into MLflow; "
            "leave it out, and give it by the environment or a file of credentials, as for other programs"
        )


def _check_folder(folder: str) -> str:
    """Raise a ValueError if there can be no such folder, as far as can be seen without making it."""
    if is_remote(folder):
        return folder
    sizes = [len(os.fsencode(part)) for part in Path(folder).parts]
    if max(sizes) > LONGEST_NAME or sum(sizes) > LONGEST_PATH:
        raise ValueError(f"{shown(folder)} is too long: a name has at most {LONGEST_NAME} bytes, a path {LONGEST_PATH}")
    try:
        if not Path(folder).is_dir() and os.lstat(folder):
            raise ValueError(f"{shown(folder)} is a file, where the folder of the sweep belongs; name another")
    except OSError as error:
        if error.errno == errno.ENOTDIR:
            raise ValueError(f"a part of {shown(folder)} is a file, not a folder; name another") from error
    return folder


def _clashes(storage: str, tracking: Any, name: str | None) -> list[ConfigProblem]:
    """Names that stand for two things in the storage, and paths that MLflow would misread."""
    if name is not None and (name.lower().startswith(DATABASE_FILE) or name.lower() == ARTIFACTS):
        return [ConfigProblem("name", f"{name} is MLflow's own in every storage; choose another")]
    if is_remote(storage):
        return []
    if tracking is None and _DECODED.search(storage):
        problem = f"MLflow can't keep a SQLite file in {shown(storage)}: its addresses read `?` and %{{two digits}} as "
        problem += "something else; rename the folder, or give `tracking` an address"
        return [ConfigProblem("storage", problem)]
    sqlite = _SQLITE.fullmatch(tracking) if isinstance(tracking, str) else None
    if sqlite is not None and name is not None and sqlite["path"] in (join(storage, name), storage):
        return [ConfigProblem("tracking", f"{sqlite['path']} is the folder of results; name another file")]
    return []
