import pytest
import torch

from trainables.data import digits, load_dataset
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
    original = datasets.load_digits()
    rows = sorted(zip(original.images.reshape(-1, 64).tolist(), original.target.tolist(), strict=True))
    images = torch.cat([data.train.images, data.test.images]).flatten(1).double()
    targets = torch.cat([data.train.targets, data.test.targets])
    assert sorted(zip(images.tolist(), targets.tolist(), strict=True)) == rows


def test_another_table_in_its_place_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "SHA256", "0" * 64)
    with pytest.raises(TrainingError, match=r"digits\.csv\.gz: not the digits that trials are named after"):
        digits.load_digits(DataSpec(dataset="digits"))
