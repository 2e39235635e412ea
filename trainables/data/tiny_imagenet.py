"""TinyImageNet, from the published zip or from the folder that it unpacks to."""

import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from trainables.data.dataset import Dataset, Normalization, check_normalization
from trainables.data.decoding import Decoding, Image, check_shape, decode
from trainables.data.image_cache import About, cached, read_split, write_split
from trainables.data.root import data_root
from trainables.errors import TrainingError
from trainables.trial.specs import DataSpec

NAME = "tiny-imagenet-200"
URL = f"http://cs231n.stanford.edu/{NAME}.zip"
NORMALIZATION = Normalization((0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821))  # as the paper's authors
SHAPE = (3, 64, 64)
NUM_CLASSES, TRAIN_A_CLASS, NUM_VALIDATION = 200, 500, 10_000  # as published; another set must have another name

AS_PUBLISHED = Decoding(channels=3, upright=False)

Labelled = list[tuple[str, int]]  # path of an image inside the archive, class


class Archive(Protocol):
    """The files below `tiny-imagenet-200/`."""

    path: str  # for messages

    def read(self, name: str) -> bytes:
        """The bytes of a file; KeyError where there is none."""

    def names(self, folder: str) -> list[str]:
        """Paths of the files in a folder, sorted."""


class UnpackedArchive:
    """A folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._folder = path

    def read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError as error:
            raise KeyError(name) from error

    def names(self, folder: str) -> list[str]:
        return sorted(f"{folder}/{path.name}" for path in (self._folder / folder).glob("*"))


class ZippedArchive:
    """The zip itself; nothing is unpacked."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._zip = zipfile.ZipFile(path)
        self._names: defaultdict[str, list[str]] = defaultdict(list)
        for name in sorted(self._zip.namelist()):
            inside = name.removeprefix(f"{NAME}/")
            if not inside.endswith("/"):
                self._names[inside.rpartition("/")[0]].append(inside)

    def read(self, name: str) -> bytes:
        return self._zip.read(f"{NAME}/{name}")

    def names(self, folder: str) -> list[str]:
        return self._names[folder]


def load_tiny_imagenet(spec: DataSpec) -> Dataset:
    """100 000 images of 64×64 pixels in 200 classes to train on, 5 000 to test on, 5 000 to validate on.

    The labels of the published test set are not public. As in the authors' code the 10 000 validation images are
    halved: of each class the first 25 by number are our validation set, the other 25 our test set.

    Raises:
        TrainingError: there is neither the zip nor its folder, or a file is missing or damaged; the message names it.
    """
    root = data_root(spec)
    zipped, folder = root / f"{NAME}.zip", root / NAME
    if not (zipped.is_file() or folder.is_dir()):
        raise TrainingError(
            f"data.root: {root} has neither {NAME}.zip nor the folder {NAME}; download {URL} into it, or set "
            "data.root or RENYI_DATA to its folder"
        )
    key = folder / "val" / "val_annotations.txt" if folder.is_dir() else zipped
    if not key.is_file():
        raise TrainingError(f"{key} is missing; delete {folder} and put {URL} in its place")
    source = ["tiny_imagenet", str(key), key.stat().st_size, key.stat().st_mtime_ns]
    cache = cached("tiny_imagenet", source, lambda scratch: _build(scratch, _open(zipped, folder)))
    mean, std = spec.mean or NORMALIZATION.mean, spec.std or NORMALIZATION.std
    check_normalization(mean, std, 3)
    train, test, validation = (read_split(cache, split) for split in ("train", "test", "validation"))
    return Dataset(train, test, 1 + int(train.targets.max()), Normalization(mean, std), validation)


def _open(zipped: Path, folder: Path) -> Archive:
    if folder.is_dir():
        return UnpackedArchive(folder)
    try:
        return ZippedArchive(zipped)
    except (zipfile.BadZipFile, OSError) as error:
        raise TrainingError(
            f"{zipped}: not a readable zip ({error}); it may be truncated, download {URL} again"
        ) from error


def _build(scratch: Path, archive: Archive) -> About:
    classes = _text(archive, "wnids.txt").split()
    validation, test = _halves(archive, {name: number for number, name in enumerate(classes)})
    train = _train(archive, classes)
    found = len(classes), len(train) // max(len(classes), 1), len(validation) + len(test)
    if found != (NUM_CLASSES, TRAIN_A_CLASS, NUM_VALIDATION):
        raise TrainingError(
            f"{archive.path}: not TinyImageNet: {found[0]} classes of {found[1]} training images and {found[2]} "
            f"validation images, where it has {NUM_CLASSES} of {TRAIN_A_CLASS}, and {NUM_VALIDATION}; download {URL} "
            "again, or give another set as dataset: parquet"
        )
    counts = write_split(scratch, "train", len(train), _rows(archive, train))
    write_split(scratch, "validation", len(validation), _rows(archive, validation))
    write_split(scratch, "test", len(test), _rows(archive, test))
    origin = " ".join(["validation:", *(_number(name) for name, _ in validation)])
    return About(len(classes), counts.mean, counts.std, tuple(classes), origin)


def _train(archive: Archive, classes: list[str]) -> Labelled:
    found = {name: archive.names(f"train/{name}/images") for name in classes}
    most = max(len(images) for images in found.values())
    for name, images in found.items():
        if len(images) < most or most == 0:
            raise TrainingError(
                f"{archive.path}: train/{name}/images has {len(images)} images, other classes {most}; "
                f"some are missing, download {URL} again"
            )
    return [(image, number) for number, name in enumerate(classes) for image in found[name]]


def _halves(archive: Archive, numbers: dict[str, int]) -> tuple[Labelled, Labelled]:
    """The first halves of all classes' published validation images, and the second halves; in order of file numbers."""
    by_class: defaultdict[int, list[str]] = defaultdict(list)
    for row, line in enumerate(_text(archive, "val/val_annotations.txt").splitlines()):
        fields = line.split("\t")
        if len(fields) < 2 or fields[1] not in numbers:
            raise TrainingError(
                f"{archive.path}: val/val_annotations.txt: row {row} names no class of wnids.txt: {line!r}"
            )
        by_class[numbers[fields[1]]].append(f"val/images/{fields[0]}")
    validation: Labelled = []
    test: Labelled = []
    for number, images in by_class.items():
        images.sort(key=lambda name: int(_number(name)))
        half = len(images) // 2
        validation += [(name, number) for name in images[:half]]
        test += [(name, number) for name in images[half:]]
    by_number = [sorted(part, key=lambda entry: int(_number(entry[0]))) for part in (validation, test)]
    return by_number[0], by_number[1]


def _number(name: str) -> str:
    """`17` of `val/images/val_17.JPEG`."""
    return name.rpartition("_")[2].partition(".")[0]


def _rows(archive: Archive, images: Labelled) -> Iterator[tuple[Image, int]]:
    for name, number in images:
        source = f"{archive.path}: {name}"
        try:
            image = decode(archive.read(name), source, AS_PUBLISHED).pixels
        except (KeyError, zipfile.BadZipFile, OSError) as error:
            raise TrainingError(f"{source}: missing or damaged ({error}); download {URL} again") from error
        check_shape(image, SHAPE, source)
        yield image, number


def _text(archive: Archive, name: str) -> str:
    try:
        return archive.read(name).decode()
    except (KeyError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{archive.path}: there is no {name}; download {URL} again") from error
