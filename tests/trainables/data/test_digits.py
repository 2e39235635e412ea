import pytest
import torch

from trainables.data import load_dataset, stratified_indices
from trainables.errors import TrainingError
from trainables.specs import DataSpec


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
