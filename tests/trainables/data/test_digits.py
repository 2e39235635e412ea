import pytest
import torch

from trainables.data import load_dataset, stratified_indices
from trainables.errors import TrainingError
from trainables.trial.specs import DataSpec


def test_every_digit_is_in_exactly_one_split() -> None:
    from sklearn import datasets

    data = load_dataset(DataSpec(dataset="digits"))
    assert data.train.images.shape == (1000, 1, 8, 8)
    assert data.test.images.shape == (797, 1, 8, 8)
    assert data.num_classes == 10
    pixels = data.normalize(torch.cat([data.train.images, data.test.images]))
    assert abs(pixels.mean().item()) < 1e-3
    assert abs(pixels.std().item() - 1) < 1e-3
    counts = torch.cat([data.train.targets, data.test.targets]).bincount()
    assert counts.tolist() == torch.from_numpy(datasets.load_digits().target).bincount().tolist()


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
