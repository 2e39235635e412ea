"""Decoded images on this machine's disk: written once, then mapped into the memory of every trial that uses them."""

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

FORMAT = 1  # part of every cache's name; another layout gets another number, and so new caches
CACHE_VARIABLE = "RENYI_CACHE"
ABOUT_FILE = "about.json"
CHUNK = 256  # images written at a time

Image = npt.NDArray[np.uint8]  # (C, H, W)


@dataclass(frozen=True)
class About:
    """A description of the images in a cache."""

    num_classes: int
    mean: tuple[float, ...]  # of the training images' pixels in [0, 1], a value a channel
    std: tuple[float, ...]
    classes: tuple[str, ...] = ()
    origin: str = ""  # which images are in which split, where that is our choice


def cache_folder() -> Path:
    """The folder of all caches: RENYI_CACHE, or `renyi` in the user's cache folder."""
    folder = os.environ.get(CACHE_VARIABLE) or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "renyi"
    return Path(folder).expanduser().absolute()


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
        (scratch / ABOUT_FILE).write_text(json.dumps(asdict(about)))
        scratch.rename(folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock. The system releases it when this process ends, even if it is killed."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class PixelCounts:
    """How often each pixel value occurs in each channel: gives an exact mean and deviation."""

    def __init__(self) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros((0, 256), np.int64)  # (C, 256)

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
    """Write `count` images of one shape with their classes, and return the counts of their pixels.

    The file is written, not mapped: on a full disk a write raises an error, while a mapped file would end the process.
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
    content = json.loads((folder / ABOUT_FILE).read_text())
    for name in ("mean", "std", "classes"):
        content[name] = tuple(content[name])
    return About(**content)
