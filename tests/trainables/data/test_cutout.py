"""Cutout hides the squares that it is defined to hide, as often as it should."""

import pytest
import torch
from scipy import stats

from trainables.data.augmentation import Augmentation
from trainables.data.cutout import Cutout
from trainables.trial.specs import TrainingOptions


def hidden(cutout: Cutout, height: int, width: int) -> torch.Tensor:
    """(N, H, W) whether each pixel is hidden, of images that are 1 everywhere."""
    count = len(cutout.centres)
    return cutout.apply(torch.ones(count, 1, height, width), torch.arange(count))[:, 0] == 0


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6])
def test_over_all_centres_each_pixel_is_hidden_as_often_as_squares_cover_it(size: int) -> None:
    """A row r is covered from the centres r + ⌊s/2⌋ − s + 1 to r + ⌊s/2⌋, as far as these are rows of the image."""
    height, width = 6, 8
    centres = torch.cartesian_prod(torch.arange(height), torch.arange(width))
    times = hidden(Cutout(centres, size), height, width).sum(dim=0)

    def covering(position: int, side: int) -> int:
        last = position + size // 2
        return len(range(max(0, last - size + 1), min(side - 1, last) + 1))

    expected = [[covering(row, height) * covering(column, width) for column in range(width)] for row in range(height)]
    assert times.tolist() == expected


@pytest.mark.parametrize("size", [2, 4, 6])
def test_an_even_square_is_that_of_the_authors(size: int) -> None:
    """Theirs: rows from clip(y − s//2) to clip(y + s//2), columns likewise, set to 0 after normalization."""
    side = 7
    inputs = torch.randn(side * side, 3, side, side, generator=torch.Generator().manual_seed(0))
    centres = torch.cartesian_prod(torch.arange(side), torch.arange(side))
    expected = inputs.clone()
    for image, (row, column) in zip(expected, centres.tolist(), strict=True):
        top, left = max(0, row - size // 2), max(0, column - size // 2)
        image[:, top : row + size // 2, left : column + size // 2] = 0
    assert torch.equal(Cutout(centres, size).apply(inputs, torch.arange(len(inputs))), expected)


def test_each_image_has_the_square_that_was_drawn_for_it() -> None:
    drawn = Cutout.draw(3, 50, 8, 8, seed=0, epoch=0)
    inputs = torch.randn(50, 2, 8, 8)
    chosen = torch.tensor([41, 3, 17])
    together = drawn.apply(inputs, torch.arange(50))
    assert torch.equal(drawn.apply(inputs[chosen], chosen), together[chosen])


def test_centres_are_uniform_over_the_pixels() -> None:
    drawn = Cutout.draw(2, 20_000, 5, 7, seed=0, epoch=3)
    places = drawn.centres[:, 0] * 7 + drawn.centres[:, 1]
    assert stats.chisquare(places.bincount(minlength=35).numpy()).pvalue > 1e-3


def test_draws_depend_on_seed_and_epoch_alone_and_leave_the_crops_as_they_were() -> None:
    first, again, other_epoch, other_seed = (
        Cutout.draw(2, 50, 8, 8, seed, epoch).centres for seed, epoch in ((0, 1), (0, 1), (0, 2), (1, 1))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other_epoch)
    assert not torch.equal(first, other_seed)
    options = {"epochs": 1, "augment": True}
    plain, cut = (
        Augmentation.draw(TrainingOptions.model_validate(options | more), 50, 0, 1) for more in ({}, {"cutout": 2})
    )
    assert torch.equal(plain.corners, cut.corners)
