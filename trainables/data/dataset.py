"""A data set in memory, and the draw of samples that measures are taken on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.seeding import derive_seed
from trainables.errors import TrainingError


@dataclass(frozen=True)
class Dataset:
    """Images and classes, split as every trial sees them."""

    train_inputs: Tensor  # (N, C, H, W) float32, normalized
    train_targets: Tensor  # (N,) int64
    test_inputs: Tensor  # (M, C, H, W)
    test_targets: Tensor  # (M,)
    num_classes: int

    @property
    def in_channels(self) -> int:
        """Number of image channels."""
        return int(self.train_inputs.shape[1])

    def to(self, device: torch.device) -> "Dataset":
        """The same data on a device."""
        return Dataset(
            self.train_inputs.to(device, non_blocking=True),
            self.train_targets.to(device, non_blocking=True),
            self.test_inputs.to(device, non_blocking=True),
            self.test_targets.to(device, non_blocking=True),
            self.num_classes,
        )


def stratified_indices(targets: Tensor, num_samples: int, seed: int) -> Tensor:
    """Indices of a class-stratified draw without replacement, sorted: the fixed samples of a sweep (SPEC §1.0).

    Every class gets ⌊num_samples/C⌋ samples, and the remainder goes one each to the first classes.

    Raises:
        TrainingError: more samples than there are, or a class that has too few.
    """
    if num_samples > len(targets):
        raise TrainingError(f"sharpness.samples is {num_samples}, but there are only {len(targets)} training images")
    generator = torch.Generator().manual_seed(derive_seed(seed, "sharpness samples"))
    shuffled = torch.randperm(len(targets), generator=generator)
    classes = targets.cpu()[shuffled]
    num_classes = int(classes.max()) + 1
    base, remainder = divmod(num_samples, num_classes)
    chosen = []
    for label in range(num_classes):
        wanted = base + (label < remainder)
        members = shuffled[classes == label]
        if len(members) < wanted:
            raise TrainingError(
                f"sharpness.samples {num_samples} needs {wanted} images of class {label}; there are {len(members)}"
            )
        chosen.append(members[:wanted])
    return torch.cat(chosen).sort().values
