"""Decoded images on this machine's disk: built once, then mapped into the memory of every trial that wants them."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import track

from trainables.data.dataset import Split
from trainables.errors import TrainingError

FORMAT = 1  # part of every cache's name; a change of the layout makes new ones
CACHE_VARIABLE = "RENYI_CACHE"
ABOUT_FILE = "about.json"
CHUNK = 256  # images written at a time

Image = npt.NDArray[np.uint8]  # (C, H, W)


@dataclass(frozen=True)
class About:
    """What a cache says of its images."""

    num_classes: int
    mean: tuple[float, ...]  # of the training images' pixels in [0, 1], a value a channel
    std: tuple[float, ...]
    classes: tuple[str, ...] = ()
    origin: str = ""  # which images went into which split, where that is a choice


def cache_folder() -> Path:
    """The folder of all caches: RENYI_CACHE, or `renyi` in the user's cache folder."""
    place = os.environ.get(CACHE_VARIABLE) or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "renyi"
    return Path(place).expanduser().absolute()


def cached(name: str, source: object, build: Callable[[Path], About]) -> Path:
    """The folder that `build` filled, on this machine, for this source; built now where there is none.

    A cache appears whole, by one rename. Of many processes that ask at once one builds and the others wait; one that
    was killed while building leaves nothing that is taken for a cache.

    Args:
        name: readable beginning of the folder's name.
        source: what the cache is made from, as JSON; a source that differs has another cache.
        build: writes the splits into the folder it is given, and says what they are.

    Raises:
        TrainingError: the disk is full, or the folder can't be written.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, source]).encode()).hexdigest()[:12]
    folder = cache_folder() / f"{name}-{digest}"
    if folder.exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f".{folder.name}.lock")):
            if not folder.exists():
                _build(folder, build)
    except OSError as error:
        raise TrainingError(
            f"the decoded images can't be kept in {folder}: {error.strerror or error}; make room there, or set "
            f"{CACHE_VARIABLE} to a folder on another disk"
        ) from error
    return folder


def _build(folder: Path, build: Callable[[Path], About]) -> None:
    scratch = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed; nobody else can be at it
    scratch.mkdir()
    try:
        about = build(scratch)
        (scratch / ABOUT_FILE).write_text(json.dumps(asdict(about)))
        scratch.rename(folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system releases when this process ends, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class PixelCounts:
    """How often each value occurs in each channel, for an exact mean and deviation."""

    def __init__(self) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros((0, 256), np.int64)  # (C, 256)

    def add(self, images: npt.NDArray[np.uint8]) -> None:
        """Take in (N, C, H, W) images."""
        found = np.stack([np.bincount(channel.ravel(), minlength=256) for channel in images.swapaxes(0, 1)])
        self.counts = found if len(self.counts) == 0 else self.counts + found

    @property
    def mean(self) -> tuple[float, ...]:
        """Of pixels in [0, 1], a value a channel."""
        return tuple((self.counts @ np.arange(256) / self.counts.sum(axis=1) / 255).tolist())

    @property
    def std(self) -> tuple[float, ...]:
        """Population deviation of pixels in [0, 1], a value a channel; 1 where all pixels are equal."""
        total = self.counts.sum(axis=1)
        variance = self.counts @ np.arange(256) ** 2 / total - (self.counts @ np.arange(256) / total) ** 2
        return tuple(float(v**0.5 / 255) if v > 0 else 1.0 for v in variance)


def write_split(folder: Path, split: str, count: int, rows: Iterable[tuple[Image, int]]) -> PixelCounts:
    """Write `count` images of one shape, with their classes, as they come.

    Plain writes rather than a mapped file, so that a full disk is an error and not a signal that ends the process.
    """
    counts = PixelCounts()
    targets = np.empty(count, np.int64)
    pending: list[Image] = []
    progress = track(
        rows, f"decoding {split} images", count, console=Console(stderr=True), transient=True, update_period=0.5
    )
    with (folder / f"{split}_images.npy").open("wb") as file:
        for number, (image, target) in enumerate(progress):
            if number == 0:
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, *image.shape)}
                np.lib.format.write_array_header_1_0(file, header)
            targets[number] = target
            pending.append(image)
            if len(pending) == CHUNK or number + 1 == count:
                _write_chunk(file, pending, counts)
        file.flush()
        os.fsync(file.fileno())
    np.save(folder / f"{split}_targets.npy", targets)
    return counts


def _write_chunk(file: BinaryIO, pending: list[Image], counts: PixelCounts) -> None:
    chunk = np.stack(pending)
    file.write(chunk.tobytes())
    counts.add(chunk)
    pending.clear()


def read_split(folder: Path, split: str) -> Split:
    """A split of a cache, its images mapped: pages are read when touched, and shared by all processes.

    Raises:
        TrainingError: the cache is damaged.
    """
    try:
        # "c": writable as far as torch can see, though a write would stay in this process.
        images = np.load(folder / f"{split}_images.npy", mmap_mode="c")
        targets = np.load(folder / f"{split}_targets.npy")
    except (OSError, ValueError, EOFError) as error:
        raise TrainingError(f"the cache {folder} is damaged ({error}); delete it, and it is built anew") from error
    return Split(torch.from_numpy(images), torch.from_numpy(targets))


def read_about(folder: Path) -> About:
    """What a cache says of its images."""
    content = json.loads((folder / ABOUT_FILE).read_text())
    for name in ("mean", "std", "classes"):
        content[name] = tuple(content[name])
    return About(**content)
