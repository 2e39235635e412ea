"""Cutout: a square of each training image is hidden, at a place drawn anew in each epoch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.seeding import derive_seed


@dataclass(frozen=True)
class Cutout:
    """Where each image of an epoch is hidden; the same for the same (seed, epoch), on every device.

    The square's centre is uniform over the image's pixels, so its edges may lie outside: DeVries & Taylor 2017
    (arXiv 1708.04552). What it hides becomes 0 after normalization: the mean colour of the data set.
    """

    centres: Tensor  # (N, 2) int64, row and column
    size: int  # pixels of a side; rows centre − ⌊size/2⌋ and the size − 1 after it

    @classmethod
    def draw(cls, size: int, num_images: int, height: int, width: int, seed: int, epoch: int) -> "Cutout":
        """Draw the centres of one epoch, one for each image of the training set."""
        generator = torch.Generator().manual_seed(derive_seed(seed, "cutout", epoch))
        sides = [torch.randint(0, side, (num_images,), generator=generator) for side in (height, width)]
        return cls(torch.stack(sides, dim=1), size)

    def to(self, device: torch.device) -> "Cutout":
        """The same squares on a device."""
        return Cutout(self.centres.to(device, non_blocking=True), self.size)

    def apply(self, inputs: Tensor, indices: Tensor) -> Tensor:
        """The normalized images (B, C, H, W) of these indices (B,) in the training set, each with its square at 0."""
        rows, columns = (self._covers(self.centres[indices, axis], side) for axis, side in enumerate(inputs.shape[2:]))
        return inputs.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)

    def _covers(self, centres: Tensor, side: int) -> Tensor:
        """(B, side) whether the square of each image covers a row, or a column."""
        start = centres[:, None] - self.size // 2
        positions = torch.arange(side, device=centres.device)
        return (positions >= start) & (positions < start + self.size)
