"""Image Parquet as on the Hugging Face hub: encoded images in one column, labels in another, decoded once a machine."""

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from analysis.terminal import InertConsole
from trainables.data.dataset import Dataset, Normalization, check_normalization
from trainables.data.decoding import Decoded, Decoding, Image, check_shape, decode
from trainables.data.image_cache import About, cached, read_about, read_split, widen_split, write_split
from trainables.errors import DamagedImageError, TrainingError
from trainables.tables.files import File, files_of
from trainables.tables.images import Images
from trainables.tables.summary import decoded_from, summary
from trainables.tables.survey import Survey, read_labels, survey
from trainables.trial.specs import DataSpec

ROWS_AT_ONCE = 256
SKIPPED_SHOWN = 3


def load_parquet(spec: DataSpec) -> Dataset:
    """The data set of `spec.train` and `spec.test`, decoded once on this machine.

    The classes are those of the survey; pixels are normalized by the mean and deviation of the training set, unless the
    specification gives others.

    Raises:
        TrainingError: a file is missing or damaged, a row has no image or no class, or the files hold another set than
            the one with the specification's fingerprint; the message names file and row.
    """
    found = survey(spec)
    if spec.fingerprint not in (None, found.fingerprint):
        raise TrainingError(
            f"data.train, data.test: the files here hold another set ({found.fingerprint}) than the trial's "
            f"({spec.fingerprint}): {', '.join(spec.train)}; put that set's files there, or correct the paths"
        )
    files = files_of(spec)
    folder = cached(
        spec.name or "parquet", decoded_from(spec, found), lambda scratch: _build(scratch, files, found, spec)
    )
    about = read_about(folder)
    _check_earlier_trials(spec, found, about)
    mean, std = spec.mean or about.mean, spec.std or about.std
    check_normalization(mean, std, len(about.mean))
    train, test = read_split(folder, "train"), read_split(folder, "test")
    return Dataset(train, test, about.num_classes, Normalization(mean, std), classes=about.classes)


def _check_earlier_trials(spec: DataSpec, found: Survey, about: About) -> None:
    """Refuse what trials of an earlier version saw otherwise: they can be neither continued nor measured."""
    changed = [about.changed] if about.changed else []
    if found.renumbered:
        changed.append("its labels are numbered from 0 now, without gaps")
    if found.reordered:
        changed.append("classes are matched by name, where files number them differently")
    if spec.known_by == "name" and changed:
        raise TrainingError(
            f"data: the trials of {spec.name!r} are of an earlier version, which decoded this set otherwise: "
            f"{'; '.join(changed)}. They can't be continued or measured with it; train them anew with "
            "data: {known_by: content}"
        )


@dataclass
class Seen:
    """What the images of a set are like, counted while they are decoded."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # height and width, as decoded
    modes: Counter[str] = field(default_factory=Counter)
    turned: int = 0
    transparent: int = 0
    several: int = 0
    deep: int = 0
    largest: int = 0  # value of images with more than 8 bits
    otherwise: int = 0
    first: str = ""  # mode of the first image
    skipped: dict[str, list[str]] = field(default_factory=lambda: {"train": [], "test": []})

    def add(self, image: Decoded) -> None:
        """Count one image."""
        self.first = self.first or image.mode
        self.modes[f"{image.mode} {image.format}"] += 1
        self.sizes[image.pixels.shape[1], image.pixels.shape[2]] += 1
        self.turned += image.turned
        self.transparent += image.transparent
        self.several += image.several
        self.otherwise += image.was_otherwise
        if image.largest is not None:
            self.deep += 1
            self.largest = max(self.largest, image.largest)

    def notes(self, how: Decoding, channels: int) -> tuple[str, ...]:
        """What is worth knowing, as clauses of a sentence."""
        (height, width), _ = self.sizes.most_common(1)[0]
        gray = "gray" if channels == 1 else "in colour"
        modes = ", ".join(f"{count} {mode}" for mode, count in self.modes.most_common(6))
        of_mode = modes if len(self.modes) > 1 else next(iter(self.modes))
        told = [f"{height}×{width} {gray} ({of_mode})"]
        told += [f"resized to {how.resize}"] * (how.resize is not None)
        told += [f"cropped to {how.crop}"] * (how.crop is not None)
        told += [f"{self.turned} turned as EXIF says"] * (self.turned > 0)
        told += [f"{self.transparent} transparent, put on {how.background}"] * (self.transparent > 0)
        told += [f"of {self.several} with several frames the first"] * (self.several > 0)
        told += [f"{self.deep} scaled from more than 8 bits, the largest value {self.largest}"] * (self.deep > 0)
        for split, skipped in self.skipped.items():
            if skipped:
                more = ", …" if len(skipped) > SKIPPED_SHOWN else ""
                told.append(
                    f"{len(skipped)} {split} images skipped as damaged: {', '.join(skipped[:SKIPPED_SHOWN])}{more}"
                )
        return tuple(told)


def _build(scratch: Path, files: dict[str, list[File]], found: Survey, spec: DataSpec) -> About:
    how, seen = Decoding.of(spec), Seen()
    counts = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of images that Pillow takes for large or odd: what can't be decoded raises
        for split, rows in found.rows.items():
            decoded = _Rows(files[split], found, spec, how, seen, split)
            counts[split] = write_split(scratch, split, rows, decoded)
            if not len(counts[split].counts):
                raise TrainingError(f"data.{split}: all {rows} images are damaged, the first: {seen.skipped[split][0]}")
    if len({len(each.counts) for each in counts.values()}) > 1:
        for split, each in counts.items():
            widen_split(scratch, split, each)
    train = counts["train"]
    changed = [f"{seen.otherwise} images are turned, scaled or put on a background"] if seen.otherwise else []
    if spec.channels is None and len(train.mean) != (1 if seen.first in ("1", "L", "I", "I;16") else 3):
        changed.append(f"it has {len(train.mean)} channels")
    classes, notes = tuple(map(str, found.classes)), seen.notes(how, len(train.mean))
    InertConsole(stderr=True, soft_wrap=True).print(summary(spec, found, notes))
    return About(len(classes), train.mean, train.std, classes, "", notes, "; ".join(changed))


@dataclass(frozen=True)
class _Rows:
    """The images and classes of a split."""

    files: list[File]
    found: Survey
    spec: DataSpec
    how: Decoding
    seen: Seen
    split: str

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        shape: tuple[int, ...] = ()
        number = {label: index for index, label in enumerate(self.found.classes)}
        for file in self.files:
            labels = read_labels(file, self.spec)
            classes = [number[label] for label in labels.labels]
            for row, image in self._images(file):
                if not shape:
                    shape = image.shape
                check_shape(image, shape, f"{file.path}: row {row}")
                yield image, classes[labels.codes[row]]

    def _images(self, file: File) -> Iterator[tuple[int, Image]]:
        row = 0
        with file.opened() as table:
            try:
                batches = table.iter_batches(ROWS_AT_ONCE, columns=[self.spec.image])
                for value in (value for batch in batches for value in batch.column(0).to_pylist()):
                    image = self._decoded(value, file, row)
                    if image is not None:
                        yield row, image
                    row += 1
            except (OSError, KeyError, pa.ArrowException) as error:
                raise file.damaged(row, error) from error

    def _decoded(self, value: object, file: File, row: int) -> Image | None:
        source = f"{file.path}: row {row}"
        try:
            image = decode(Images(file).encoded(value, source), source, self.how)
        except DamagedImageError as error:
            if self.spec.on_damaged == "skip":
                self.seen.skipped[self.split].append(str(error))
                return None
            raise
        self.seen.add(image)
        return image.pixels
