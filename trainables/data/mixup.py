"""Mixup: each training image is blended with another of its batch, and so are their classes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.seeding import derive_seed


@dataclass(frozen=True)
class Mixture:
    """How the images of one batch are blended, in pairs: x̃ = λ x + (1 − λ) x′, and the classes likewise."""

    partners: Tensor  # (B,) int64, the place in the batch of x′: a permutation
    share: float  # λ, the same for the whole batch

    def apply(self, inputs: Tensor) -> Tensor:
        """The normalized images (B, C, H, W), blended."""
        return self.share * inputs + (1 - self.share) * inputs[self.partners]

    def to(self, device: torch.device) -> "Mixture":
        """The same mixture on a device."""
        return Mixture(self.partners.to(device, non_blocking=True), self.share)


def draw_mixtures(alpha: float, batch_sizes: list[int], seed: int, epoch: int) -> Iterator[Mixture]:
    """A mixture for each batch of an epoch, λ from Beta(α, α): Zhang et al. 2018 (arXiv 1710.09412).

    The same for the same (seed, epoch), on every device.
    """
    generator = np.random.default_rng(derive_seed(seed, "mixup", epoch))
    for size in batch_sizes:
        share = generator.beta(alpha, alpha)
        yield Mixture(torch.from_numpy(generator.permutation(size)), float(share))
