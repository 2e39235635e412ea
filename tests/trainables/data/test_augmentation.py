"""The same changes as torchvision's transforms, pixel for pixel, and equally distributed."""

import pytest
import torch
from scipy import stats
from torchvision import transforms
from torchvision.transforms import functional

from trainables.data.augmentation import Augmentation, crop_and_flip, rotate
from trainables.trial.specs import TrainingOptions

NUM_DRAWS = 20_000


def images(count: int = 16, size: int = 12) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def options(**changes: object) -> TrainingOptions:
    return TrainingOptions.model_validate({"epochs": 1, "augment": True} | changes)


def test_a_crop_is_torchvisions_crop_of_the_padded_image() -> None:
    batch, padding = images(), 3
    generator = torch.Generator().manual_seed(1)
    corners = torch.randint(0, 7, (16, 2), generator=generator)
    flips = torch.rand(16, generator=generator) < 0.5
    changed = crop_and_flip(batch, corners, flips, padding)
    for image, (row, column), flip, result in zip(batch, corners.tolist(), flips.tolist(), changed, strict=True):
        expected = functional.crop(functional.pad(image, padding), row, column, 12, 12)
        assert torch.equal(result, functional.hflip(expected) if flip else expected)


@pytest.mark.parametrize("size", [11, 12])
def test_a_rotation_is_torchvisions(size: int) -> None:
    batch = images(size=size)
    angles = torch.linspace(-180, 170, 16)
    turned = rotate(batch, angles)
    for image, angle, result in zip(batch, angles.tolist(), turned, strict=True):
        different = (result != functional.rotate(image, angle)).float().mean()
        assert different < 0.02  # sources on the edge between two pixels


def test_draws_are_uniform_and_independent() -> None:
    drawn = Augmentation.draw(options(rotation=20), NUM_DRAWS, seed=0, epoch=0)
    for axis in range(2):
        assert stats.chisquare(drawn.corners[:, axis].bincount(minlength=9).numpy()).pvalue > 1e-3
    joint = (drawn.corners[:, 0] * 9 + drawn.corners[:, 1]) * 2 + drawn.flips
    assert stats.chisquare(joint.bincount(minlength=162).numpy()).pvalue > 1e-3
    assert stats.kstest(drawn.angles.numpy(), stats.uniform(-20, 40).cdf).pvalue > 1e-3


def changed_many_times(rotation: float, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One image changed by us, and by torchvision."""
    image = images(1, size=6)
    drawn = Augmentation.draw(options(rotation=rotation, crop_padding=1), count, seed=0, epoch=0)
    mine = drawn.apply(image.expand(count, -1, -1, -1), torch.arange(count))
    theirs = transforms.Compose(
        [transforms.RandomRotation(rotation), transforms.RandomCrop(6, padding=1), transforms.RandomHorizontalFlip()]
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return mine, torch.stack([theirs(image[0]) for _ in range(count)])


def test_crops_and_flips_are_as_frequent_as_torchvisions() -> None:
    both = torch.cat(changed_many_times(rotation=0, count=3000)).flatten(1)
    different, which = both.unique(dim=0, return_inverse=True)
    assert len(different) == 3 * 3 * 2
    counts = [part.bincount(minlength=18).numpy() for part in which.split(3000)]
    assert stats.chi2_contingency(counts).pvalue > 1e-3


def test_rotated_pixels_have_torchvisions_means() -> None:
    count = 4000
    mine, theirs = (changed.double() for changed in changed_many_times(rotation=30, count=count))
    for power in (1, 2):
        difference = (mine**power).mean(dim=0) - (theirs**power).mean(dim=0)
        stderr = (((mine**power).var(dim=0) + (theirs**power).var(dim=0)) / count).sqrt()
        assert (difference / stderr).abs().max() < 4.5


def test_draws_depend_on_seed_and_epoch_alone() -> None:
    first, again, other_epoch, other_seed = (
        Augmentation.draw(options(rotation=10), 50, seed, epoch) for seed, epoch in ((0, 1), (0, 1), (0, 2), (1, 1))
    )
    assert torch.equal(first.corners, again.corners)
    assert torch.equal(first.flips, again.flips)
    assert torch.equal(first.angles, again.angles)
    for other in (other_epoch, other_seed):
        assert not torch.equal(first.corners, other.corners)
        assert not torch.equal(first.flips, other.flips)


def test_what_is_switched_off_changes_nothing() -> None:
    batch = images()
    drawn = Augmentation.draw(options(crop_padding=0, flip=False), 16, seed=0, epoch=0)
    assert torch.equal(drawn.apply(batch, torch.arange(16)), batch)
