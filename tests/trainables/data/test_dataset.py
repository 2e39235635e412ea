"""Splits, normalization, held-out images, and the draw of the samples that measures are taken on."""

import pytest
import torch

from trainables.data import Dataset, Normalization, Split, load_dataset, stratified_indices
from trainables.data.dataset import check_normalization
from trainables.errors import TrainingError
from trainables.trial.specs import DataSpec


def small() -> Dataset:
    images = torch.arange(24, dtype=torch.uint8).reshape(6, 2, 1, 2)
    split = Split(images, torch.tensor([0, 0, 0, 1, 1, 1]))
    return Dataset(split, split[torch.tensor([0, 5])], 2, Normalization((0.5, 0.25), (0.5, 2.0), largest=20))


def test_samples_are_selected_and_normalized() -> None:
    data = small()
    assert data.in_channels == 2
    images, targets = data.train_samples(torch.tensor([5, 0]))
    assert targets.tolist() == [1, 0]
    torch.testing.assert_close(images[1], torch.tensor([[[-1.0, -0.9]], [[-0.075, -0.05]]]))  # of pixels 0, 1 | 2, 3


def test_a_mean_and_a_deviation_for_each_channel() -> None:
    check_normalization((0.5,), (0.1,), 1)
    with pytest.raises(TrainingError, match=r"data\.std has 1 values; the images have 3 channels"):
        check_normalization((0.5, 0.5, 0.5), (0.1,), 3)


def test_validation_images_are_drawn_once_from_those_to_train_on() -> None:
    whole, split = (load_dataset(DataSpec(dataset="digits", validation=count)) for count in (None, 200))
    assert whole.validation is None
    assert split.validation is not None
    assert (len(split.train), len(split.validation)) == (800, 200)
    parts = torch.cat([split.train.images, split.validation.images])
    assert sorted(parts.flatten(1).tolist()) == sorted(whole.train.images.flatten(1).tolist())
    assert split.validation.targets.bincount().min() > 10
    assert torch.equal(split.test.images, whole.test.images)
    again = whole.hold_out(200).validation
    assert again is not None
    assert torch.equal(again.images, split.validation.images)
    with pytest.raises(TrainingError, match=r"data\.validation 1000 must be less than the 1000 training images"):
        load_dataset(DataSpec(dataset="digits", validation=1000))


def test_the_measured_samples_are_a_stratified_draw_that_never_changes() -> None:
    targets = load_dataset(DataSpec(dataset="digits")).train.targets
    chosen = stratified_indices(targets, 203, seed=0)
    assert targets[chosen].bincount().tolist() == [21] * 3 + [20] * 7
    assert len(chosen.unique()) == 203
    assert torch.equal(chosen, stratified_indices(targets, 203, seed=0))
    assert not torch.equal(chosen, stratified_indices(targets, 203, seed=1))


def test_more_samples_than_images_is_an_error_that_names_both() -> None:
    with pytest.raises(TrainingError, match=r"2000.*1000"):
        stratified_indices(load_dataset(DataSpec(dataset="digits")).train.targets, 2000, seed=0)


def test_a_class_with_too_few_images_is_named() -> None:
    with pytest.raises(TrainingError, match="needs 2 images of class 1; there are 1"):
        stratified_indices(torch.tensor([0, 0, 0, 1]), 4, seed=0)


def test_a_class_without_images_does_not_count() -> None:
    targets = torch.tensor([0, 3, 0, 3, 0, 3])
    assert targets[stratified_indices(targets, 5, seed=0)].bincount().tolist() == [3, 0, 0, 2]
