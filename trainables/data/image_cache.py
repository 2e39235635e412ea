"""Decoded images on this machine's disk: written once, then mapped into the memory of every trial that uses them."""

import hashlib
import io
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track

from analysis.terminal import InertConsole
from trainables.cache_folder import CACHE_VARIABLE, cache_of, locked
from trainables.data.dataset import Split
from trainables.data.decoding import Image
from trainables.errors import TrainingError
from trainables.trial.seal import SealError, different, sealed_json, unsealed_json

ABOUT_FILE = "about.json"
CHECKED_FILE = "checked.json"  # the state of the files when they were last compared with their digests
FILES = "files"  # the key of the description under which each file has its SHA-256
BOOT = Path("/proc/sys/kernel/random/boot_id")
CHUNK = 256  # images written at a time


@dataclass(frozen=True)
class About:
    """A description of the images in a cache."""

    num_classes: int
    mean: tuple[float, ...]  # of the training images' pixels in [0, 1], a value a channel
    std: tuple[float, ...]
    classes: tuple[str, ...] = ()
    origin: str = ""  # which images are in which split, where that is our choice
    notes: tuple[str, ...] = ()  # sizes and modes of the images, and what was done to them: clauses of a sentence
    changed: str = ""  # what earlier versions of this package decoded otherwise; empty if nothing


def cached(name: str, source: object, build: Callable[[Path], About]) -> Path:
    """The folder of a source's decoded images on this machine. If there is none, `build` makes it now.

    A cache appears whole, by one rename. Of several processes that need it at the same time one builds it, the
    others wait. A process that is killed while it builds leaves nothing that could be mistaken for a cache.

    Args:
        name: the readable first part of the folder's name.
        source: what the cache is made from, as JSON; another source has another cache.
        build: writes the splits into the folder it is given, and returns their description.

    Raises:
        TrainingError: the disk is full, or the folder can't be written.
    """
    folder = cache_of(name, source)
    problem = _damage(folder)
    if folder.exists() and problem is None:
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f".{folder.name}.lock")):
            problem = _damage(folder)  # again: another process may have built it meanwhile
            if problem is not None:
                warnings.warn(f"{problem}; the images are decoded again", stacklevel=2)
                shutil.rmtree(folder)
            if not folder.exists():
                _build(folder, build)
    except OSError as error:
        raise TrainingError(
            f"the decoded images can't be written to {folder}: {error.strerror or error}; make room there, or set "
            f"{CACHE_VARIABLE} to a folder on another disk"
        ) from error
    return folder


def _build(folder: Path, build: Callable[[Path], About]) -> None:
    scratch = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)  # left by a killed process; the lock excludes all others
    scratch.mkdir()
    try:
        about = build(scratch)
        files = {path.name: _digest(path) for path in sorted(scratch.iterdir())}
        (scratch / ABOUT_FILE).write_bytes(sealed_json(folder.name, {**asdict(about), FILES: files}))
        scratch.rename(folder)
        _remember(folder, files)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _damage(folder: Path) -> str | None:
    """What in a cache is not what was written, if anything is; None too for one of a version without digests.

    Its files are read once after each start of the machine; then their sizes and dates suffice.
    """
    try:
        about = unsealed_json(folder.name, (folder / ABOUT_FILE).read_bytes())
    except FileNotFoundError:
        return f"{folder / ABOUT_FILE} is missing" if folder.exists() else None
    except SealError as error:
        return f"{folder / ABOUT_FILE} is damaged: {error}"
    files: dict[str, str] = about.get(FILES, {})
    try:
        if not files or (folder / CHECKED_FILE).read_text() == _state(folder, files):
            return None
    except OSError:  # not checked yet, or a file is gone, which is named below
        pass
    for name, expected in files.items():
        try:
            found = _digest(folder / name)
        except OSError as error:
            return f"{folder / name} can't be read ({error.strerror or error})"
        if found != expected:
            return f"{folder / name} is damaged: {different(expected, found)}"
    _remember(folder, files)
    return None


def _remember(folder: Path, files: Iterable[str]) -> None:
    """Note that a cache's files are those that were written; a cache that can't be written is checked each time."""
    with suppress(OSError):
        (folder / CHECKED_FILE).write_text(_state(folder, files))


def _state(folder: Path, files: Iterable[str]) -> str:
    """Sizes and dates of files, and the start of the machine."""
    boot = BOOT.read_text().strip() if BOOT.exists() else ""
    states = [(name, status.st_size, status.st_mtime_ns) for name in files for status in [(folder / name).stat()]]
    return json.dumps([boot, sorted(states)])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class PixelCounts:
    """How often each pixel value occurs in each channel: gives an exact mean and deviation."""

    def __init__(self) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros((0, 256), np.int64)  # (C, 256)

    def widen(self) -> None:
        """Let gray images so far count as coloured ones."""
        self.counts = np.repeat(self.counts, 3, axis=0)

    def add(self, images: npt.NDArray[np.uint8]) -> None:
        """Count the pixels of (N, C, H, W) images."""
        found = np.stack([np.bincount(channel.ravel(), minlength=256) for channel in images.swapaxes(0, 1)])
        self.counts = found if len(self.counts) == 0 else self.counts + found

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of the pixels in [0, 1], a value a channel."""
        return tuple((self.counts @ np.arange(256) / self.counts.sum(axis=1) / 255).tolist())

    @property
    def std(self) -> tuple[float, ...]:
        """Population deviation of the pixels in [0, 1], a value a channel; 1 where all pixels are equal."""
        total = self.counts.sum(axis=1)
        variance = self.counts @ np.arange(256) ** 2 / total - (self.counts @ np.arange(256) / total) ** 2
        return tuple(float(v**0.5 / 255) if v > 0 else 1.0 for v in variance)


def write_split(folder: Path, split: str, count: int, rows: Iterable[tuple[Image, int]]) -> PixelCounts:
    """Write at most `count` images of one size with their classes, and return the counts of their pixels.

    All are gray, or all coloured: as soon as one image has three channels, all of the split have.

    The file is written, not mapped: on a full disk a write raises an error, while a mapped file would end the process.
    """
    progress = track(
        rows, f"decoding {split} images", count, console=InertConsole(stderr=True), transient=True, update_period=0.5
    )
    targets: list[int] = []
    with _SplitFile(folder / f"{split}_images.npy") as file:
        for image, target in progress:
            file.add(image)
            targets.append(target)
        counts = file.finish()
    np.save(folder / f"{split}_targets.npy", np.array(targets, np.int64))
    return counts


def widen_split(folder: Path, split: str, counts: PixelCounts) -> None:
    """Give three equal channels to the gray images of a split; to coloured ones nothing is done."""
    if len(counts.counts) == 1:
        _widen(folder / f"{split}_images.npy")
        counts.widen()


class _SplitFile:
    """The images of a split in a file that np.load reads; their number and channels are known at its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending: list[Image] = []
        self._shape: tuple[int, ...] = ()  # of an image
        self._written = 0
        self._counts = PixelCounts()

    def __enter__(self) -> "_SplitFile":
        self._file = self._path.open("wb+")
        self._file.write(_header(0, (1, 1, 1)))
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, image: Image) -> None:
        channels = len(image)
        if self._shape and channels > self._shape[0]:
            self.finish()
            self._file.close()
            _widen(self._path)
            self._counts.widen()
            self._file = self._path.open("rb+")
            self._file.seek(0, os.SEEK_END)
        if not self._shape or channels > self._shape[0]:
            self._shape = image.shape
        self._pending.append(image if channels == self._shape[0] else np.repeat(image, self._shape[0], axis=0))
        if len(self._pending) == CHUNK:
            self._write_pending()

    def finish(self) -> PixelCounts:
        """Complete the file on the disk, and return the counts of all pixels in it."""
        self._write_pending()
        self._file.seek(0)
        self._file.write(_header(self._written, self._shape or (0, 0, 0)))
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._counts

    def _write_pending(self) -> None:
        if self._pending:
            chunk = np.stack(self._pending)
            self._file.write(chunk.tobytes())
            self._counts.add(chunk)
            self._written += len(chunk)
            self._pending.clear()


def _header(count: int, shape: tuple[int, ...]) -> bytes:
    """The header of an array of images in NumPy's format; as long for one image as for a billion."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)})
    assert buffer.tell() == 128, "the padding keeps it so up to 40 digits"
    return buffer.getvalue()


def _widen(path: Path) -> None:
    narrow = np.load(path, mmap_mode="r")
    wide = path.with_name(f"{path.name}.wide")
    with wide.open("wb") as file:
        file.write(_header(len(narrow), (3, *narrow.shape[2:])))
        for first in range(0, len(narrow), CHUNK):
            file.write(np.repeat(narrow[first : first + CHUNK], 3, axis=1).tobytes())
        file.flush()
        os.fsync(file.fileno())
    wide.replace(path)


def read_split(folder: Path, split: str) -> Split:
    """A split of a cache. Its images are mapped: a page is read when it is first used, and all processes share it.

    Raises:
        TrainingError: the cache is damaged.
    """
    try:
        # "c": torch wants memory that can be written; a write would not reach the file.
        images = np.load(folder / f"{split}_images.npy", mmap_mode="c")
        targets = np.load(folder / f"{split}_targets.npy")
    except (OSError, ValueError, EOFError) as error:
        raise TrainingError(f"the cache {folder} is damaged ({error}); delete it and run again to build it") from error
    return Split(torch.from_numpy(images), torch.from_numpy(targets))


def read_about(folder: Path) -> About:
    """A description of the images in a cache."""
    content = unsealed_json(folder.name, (folder / ABOUT_FILE).read_bytes())
    content.pop(FILES, None)
    for name in {"mean", "std", "classes", "notes"} & set(content):
        content[name] = tuple(content[name])
    return About(**content)
