"""Random crops, flips and rotations of whole batches of uint8 images, on any device."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from analysis.seeding import derive_seed
from trainables.trial.specs import TrainingOptions


@dataclass(frozen=True)
class Augmentation:
    """How each image of an epoch is changed; the same for the same (seed, epoch), on every device.

    Rotation by an angle uniform in ±`training.rotation` degrees (nearest pixel, black outside), then a crop of the
    image's own size at a uniform position in the image with `training.crop_padding` black pixels around, then a flip of
    one half of the images: equal in distribution to torchvision's RandomRotation, RandomCrop and RandomHorizontalFlip.
    """

    corners: Tensor  # (N, 2) int64, row and column of the crop's corner in the padded image
    flips: Tensor  # (N,) bool
    angles: Tensor  # (N,) float32, degrees, counter-clockwise
    padding: int
    rotates: bool

    @classmethod
    def draw(cls, training: TrainingOptions, num_images: int, seed: int, epoch: int) -> "Augmentation":
        """Draw the changes of one epoch, an entry for each image of the training set."""
        generator = torch.Generator().manual_seed(derive_seed(seed, "augmentation", epoch))
        corners = torch.randint(0, 2 * training.crop_padding + 1, (num_images, 2), generator=generator)
        flips = torch.rand(num_images, generator=generator) < (0.5 if training.flip else 0.0)
        angles = training.rotation * (2 * torch.rand(num_images, generator=generator) - 1)
        return cls(corners, flips, angles, training.crop_padding, rotates=training.rotation > 0)

    def to(self, device: torch.device) -> "Augmentation":
        """The same changes on a device."""
        return Augmentation(
            self.corners.to(device, non_blocking=True),
            self.flips.to(device, non_blocking=True),
            self.angles.to(device, non_blocking=True),
            self.padding,
            self.rotates,
        )

    def apply(self, images: Tensor, indices: Tensor) -> Tensor:
        """The images (B, C, H, W) of these indices (B,) in the training set, changed as drawn."""
        if self.rotates:
            images = rotate(images, self.angles[indices])
        return crop_and_flip(images, self.corners[indices], self.flips[indices], self.padding)


def crop_and_flip(images: Tensor, corners: Tensor, flips: Tensor, padding: int) -> Tensor:
    """Each image (C, H, W) padded with zeros, cropped to H×W at its corner (row, column), and flipped or not."""
    height, width = images.shape[2:]
    columns = torch.arange(width, device=images.device)
    rows = corners[:, :1] + torch.arange(height, device=images.device)
    columns = corners[:, 1:] + torch.where(flips[:, None], columns.flip(0), columns)
    padded_width = width + 2 * padding
    positions = rows[:, :, None] * padded_width + columns[:, None, :]
    return _gather(pad(images, (padding, padding, padding, padding)), positions)


def rotate(images: Tensor, angles: Tensor) -> Tensor:
    """Each image (C, H, W) turned about its centre by its angle in degrees, counter-clockwise; nearest pixel."""
    height, width = images.shape[2:]
    radians = (angles * (math.pi / 180))[:, None, None]
    y = (torch.arange(height, device=images.device) - (height - 1) / 2)[:, None]
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    rows = torch.round(torch.sin(radians) * x + torch.cos(radians) * y + (height - 1) / 2).long()
    columns = torch.round(torch.cos(radians) * x - torch.sin(radians) * y + (width - 1) / 2).long()
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    positions = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    turned: Tensor = _gather(images, positions).mul_(inside[:, None])
    return turned


def _gather(images: Tensor, positions: Tensor) -> Tensor:
    """The pixels of (B, C, h, w) images at flat positions (B, H, W), the same for all channels."""
    count, channels = images.shape[:2]
    index = positions.flatten(1)[:, None].expand(count, channels, -1)
    return images.flatten(2).gather(2, index).view(count, channels, *positions.shape[1:])
