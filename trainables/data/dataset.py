"""A data set as trials use it, and the draw of the samples that measures are taken on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from analysis.seeding import derive_seed
from trainables.errors import TrainingError


@dataclass(frozen=True)
class Split:
    """Images and their classes."""

    images: Tensor  # (N, C, H, W) uint8 or float, as stored; often a file mapped into memory
    targets: Tensor  # (N,) int64

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, indices: Tensor) -> "Split":
        return Split(self.images[indices], self.targets[indices])

    def to(self, device: torch.device) -> "Split":
        """The same images on a device; on the CPU nothing is copied."""
        return Split(self.images.to(device, non_blocking=True), self.targets.to(device, non_blocking=True))


@dataclass(frozen=True)
class Normalization:
    """(pixel/largest − mean)/std of each channel."""

    mean: tuple[float, ...]  # of pixels in [0, 1]
    std: tuple[float, ...]
    largest: int = 255  # the pixel value that means 1

    def __call__(self, images: Tensor) -> Tensor:
        """(N, C, H, W) images of any type as normalized float32."""
        scale = torch.tensor([1 / (self.largest * std) for std in self.std], device=images.device)
        shift = torch.tensor([-mean / std for mean, std in zip(self.mean, self.std, strict=True)], device=images.device)
        return images.to(torch.float32, copy=True).mul_(scale[:, None, None]).add_(shift[:, None, None])


@dataclass(frozen=True)
class Dataset:
    """Images and classes, in the splits that every trial uses."""

    train: Split
    test: Split
    num_classes: int
    normalize: Normalization
    validation: Split | None = None  # for choices during training; its accuracy is no result
    classes: tuple[str, ...] = ()  # the label of each class in the files, by the class's number; empty if not known

    @property
    def in_channels(self) -> int:
        """Number of image channels."""
        return int(self.train.images.shape[1])

    def to(self, device: torch.device) -> "Dataset":
        """The same data on a device."""
        validation = None if self.validation is None else self.validation.to(device)
        return replace(self, train=self.train.to(device), test=self.test.to(device), validation=validation)

    def hold_out(self, num_samples: int) -> "Dataset":
        """The same data, with this many training images held out for validation; the same images in every trial.

        Raises:
            TrainingError: no image would remain to train on.
        """
        count = len(self.train)
        if num_samples >= count:
            raise TrainingError(f"data.validation {num_samples} must be less than the {count} training images")
        generator = torch.Generator().manual_seed(derive_seed("validation split"))
        order = torch.randperm(count, generator=generator)
        validation, train = order[:num_samples].sort().values, order[num_samples:].sort().values
        return replace(self, train=self.train[train], validation=self.train[validation])

    def train_samples(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Normalized training images (B, C, H, W), not augmented, and their classes (B,)."""
        return self.normalize(self.train.images[indices]), self.train.targets[indices]


def check_normalization(mean: Sequence[float], std: Sequence[float], channels: int) -> None:
    """Check that the constants fit the images.

    Raises:
        TrainingError: there is not one value for each channel.
    """
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != channels:
            raise TrainingError(f"data.{name} has {len(values)} values; the images have {channels} channels")


def stratified_indices(targets: Tensor, num_samples: int, seed: int) -> Tensor:
    """Indices of a class-stratified draw without replacement, sorted: the fixed samples of a sweep.

    Every class that has images gets ⌊num_samples/C⌋ samples; the first ones get one more each until the remainder is
    used.

    Raises:
        TrainingError: there are fewer images than samples, in all or in one class.
    """
    if num_samples > len(targets):
        raise TrainingError(f"sharpness.samples is {num_samples}, but there are only {len(targets)} training images")
    generator = torch.Generator().manual_seed(derive_seed(seed, "sharpness samples"))
    shuffled = torch.randperm(len(targets), generator=generator)
    classes = targets.cpu()[shuffled]
    there = classes.unique().tolist()
    base, remainder = divmod(num_samples, len(there))
    chosen = []
    for position, label in enumerate(there):
        wanted = base + (position < remainder)
        members = shuffled[classes == label]
        if len(members) < wanted:
            raise TrainingError(
                f"sharpness.samples {num_samples} needs {wanted} images of class {label}; there are {len(members)}"
            )
        chosen.append(members[:wanted])
    return torch.cat(chosen).sort().values
