"""Corrupted test images: Gaussian noise, Gaussian blur and lower contrast, at the severities of CIFAR-10-C.

The formulas are those of CIFAR-10-C's own code (Hendrycks & Dietterich 2019, arXiv 1903.12261; `make_cifar_c.py`). What
differs: it cuts pixels to integers afterwards, here they are not rounded; its noise is another draw, without a seed;
its severities are for 32×32 pixels, here they are the same numbers whatever the size of the images. Gaussian blur is
one of its four additional corruptions: its main list has defocus, glass, motion and zoom blur in place of it.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from analysis.seeding import derive_seed
from trainables.catalogue import Shift

BLUR_TRUNCATED_AT = 4.0  # standard deviations


def corrupted_batches(images: Tensor, shift: Shift, largest: float, batch_size: int) -> Iterator[Tensor]:
    """Batches of the corrupted images (N, C, H, W), on the device of these, with the same bits on every device."""
    for first in range(0, len(images), batch_size):
        yield corrupt(images[first : first + batch_size].cpu(), shift, largest, first).to(images.device)


def corrupt(images: Tensor, shift: Shift, largest: float, first: int = 0) -> Tensor:
    """The corrupted images in float32, clipped to [0, largest]. With x = pixel/largest and the shift's strength s:

    - noise: x + s·n. The standard normal n of a pixel depends on the image's index alone, so all networks and all
      severities share it.
    - blur: each channel convolved with a Gaussian of standard deviation s pixels, cut off at 4s; beyond the borders the
      image goes on with their pixels.
    - contrast: m + s·(x − m), with m the mean of the image's channel.

    Args:
        images: (B, C, H, W) pixels in [0, largest], of any type and number of channels.
        shift: the corruption and its strength.
        largest: the pixel value that means 1.
        first: the index of the first of these images in the test set.
    """
    pixels = images.float()
    match shift.corruption:
        case "noise":
            changed = pixels + shift.strength * largest * _normals(pixels.shape, first)
        case "blur":
            changed = _blurred(pixels, shift.strength)
        case "contrast":
            mean = pixels.mean(dim=(2, 3), keepdim=True)
            changed = mean + shift.strength * (pixels - mean)
        case unknown:
            raise ValueError(f"unknown corruption {unknown!r}")
    return changed.clamp(0, largest)


def _normals(shape: torch.Size, first: int) -> Tensor:
    normals = torch.empty(shape)
    generator = torch.Generator()
    for index, image in enumerate(normals, start=first):
        image.normal_(generator=generator.manual_seed(derive_seed("noise of a test image", index)))
    return normals


def _blurred(pixels: Tensor, sigma: float) -> Tensor:
    radius = int(BLUR_TRUNCATED_AT * sigma + 0.5)
    weights = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    padded = pad(pixels.flatten(0, 1)[:, None], (radius, radius, radius, radius), mode="replicate")
    return conv2d(conv2d(padded, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1)).view_as(pixels)
