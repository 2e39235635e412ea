"""Corruptions against closed forms, and the blur against scipy's."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from trainables.catalogue import SEVERITIES, SHIFTS, Shift
from trainables.data.corruption import corrupt, corrupted_batches

LARGEST = 255


def pictures(*shape: int) -> torch.Tensor:
    return torch.randint(0, LARGEST + 1, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (2, 3, 32, 32), (2, 3, 5, 2), (1, 1, 1, 1)])
@pytest.mark.parametrize("sigma", SEVERITIES["blur"])
def test_blur_is_scipys(shape: tuple[int, ...], sigma: float) -> None:
    images = pictures(*shape)
    expected = gaussian_filter(images.double().numpy(), (0, 0, sigma, sigma), mode="nearest", truncate=4.0)
    np.testing.assert_allclose(corrupt(images, Shift("blur", sigma), LARGEST), expected, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("factor", SEVERITIES["contrast"])
def test_contrast_keeps_each_channels_mean_and_scales_its_deviations(factor: float) -> None:
    images = pictures(4, 3, 6, 5)
    changed = corrupt(images, Shift("contrast", factor), LARGEST).double()
    before, mean = images.double(), images.double().mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(changed.mean(dim=(2, 3), keepdim=True), mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(changed - mean, factor * (before - mean), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("sigma", SEVERITIES["noise"])
def test_noise_has_mean_zero_and_its_deviation_and_is_white(sigma: float) -> None:
    gray = torch.full((50, 3, 32, 32), 127, dtype=torch.uint8)  # so far from the ends that nothing is clipped
    noise = (corrupt(gray, Shift("noise", sigma), LARGEST) - 127).double() / LARGEST / sigma
    count = noise.numel()
    assert abs(noise.mean()) < 4 / count**0.5
    assert noise.std().item() == pytest.approx(1, abs=4 / (2 * count) ** 0.5)
    for axis in range(4):  # neighbours, channels and images are independent
        size = noise.shape[axis] - 1
        product = noise.narrow(axis, 0, size) * noise.narrow(axis, 1, size)
        assert abs(product.mean()) < 4 / product.numel() ** 0.5


@pytest.mark.parametrize("value", [0, LARGEST])
def test_pixels_stay_in_their_range(value: int) -> None:
    changed = corrupt(torch.full((20, 1, 8, 8), value, dtype=torch.uint8), Shift("noise", 0.1), LARGEST)
    assert changed.min() >= 0
    assert changed.max() <= LARGEST
    assert (changed == value).double().mean().item() == pytest.approx(0.5, abs=0.06)  # half of the noise is clipped


def test_an_image_has_its_own_noise_which_all_severities_share() -> None:
    images = torch.full((5, 1, 8, 8), 127, dtype=torch.uint8)
    weak, strong = (corrupt(images, SHIFTS[name], LARGEST) - 127 for name in ("noise_1", "noise_5"))
    torch.testing.assert_close(weak / 0.04, strong / 0.10, rtol=0, atol=1e-2)
    assert not torch.equal(weak[0], weak[1])
    assert torch.equal(corrupt(images[3:], SHIFTS["noise_1"], LARGEST, first=3) - 127, weak[3:])


@pytest.mark.parametrize("name", ["noise_3", "blur_3", "contrast_3"])
def test_batches_join_to_the_same_images_whatever_their_size(name: str) -> None:
    images = pictures(7, 3, 8, 8)
    whole = corrupt(images, SHIFTS[name], LARGEST)
    for size in (1, 3, 7, 10):
        assert torch.equal(torch.cat(list(corrupted_batches(images, SHIFTS[name], LARGEST, size))), whole)


@pytest.mark.parametrize("name", ["noise_3", "blur_3", "contrast_3"])
@pytest.mark.parametrize(("dtype", "largest"), [(torch.float32, 1.0), (torch.float64, 1.0), (torch.int32, 65535)])
def test_other_storage_gives_the_same_picture_and_is_left_as_it_was(
    name: str, dtype: torch.dtype, largest: float
) -> None:
    images = pictures(3, 1, 9, 9)
    stored = (images.double() * (largest / LARGEST)).to(dtype)
    before = stored.clone()
    changed = corrupt(stored, SHIFTS[name], largest)
    assert changed.dtype == torch.float32
    assert torch.equal(stored, before)
    torch.testing.assert_close(changed / largest, corrupt(images, SHIFTS[name], LARGEST) / LARGEST, rtol=0, atol=1e-6)


def test_noise_without_strength_is_the_image_itself() -> None:
    images = pictures(4, 3, 8, 8)
    assert torch.equal(corrupt(images, Shift("noise", 0.0), LARGEST), images.float())
