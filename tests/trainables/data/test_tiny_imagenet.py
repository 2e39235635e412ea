"""TinyImageNet from its own zip, its folder, and with damage."""

from pathlib import Path

import pytest
import torch

from tests.trainables.data.images import write_tiny_imagenet
from trainables.data import Dataset, load_dataset, tiny_imagenet
from trainables.data.image_cache import read_about
from trainables.errors import TrainingError
from trainables.trial.specs import DataSpec


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take three classes for the published 200."""
    for name, value in (("NUM_CLASSES", 3), ("TRAIN_A_CLASS", 2), ("NUM_VALIDATION", 12)):
        monkeypatch.setattr(tiny_imagenet, name, value)


def load(root: Path) -> Dataset:
    return load_dataset(DataSpec(dataset="tiny_imagenet", root=str(root)))


def test_the_zip_and_its_folder_are_the_same_data(tmp_path: Path) -> None:
    write_tiny_imagenet(tmp_path / "a")
    write_tiny_imagenet(tmp_path / "b", zipped=False)
    first, second = load(tmp_path / "a"), load(tmp_path / "b")
    assert first.train.images.shape == (6, 3, 64, 64)
    assert torch.equal(first.train.images, second.train.images)
    assert torch.equal(first.test.images, second.test.images)
    assert first.train.targets.tolist() == [0, 0, 1, 1, 2, 2]
    assert first.num_classes == 3


def test_validation_images_are_halved_by_class_and_number(tmp_path: Path, image_cache: Path) -> None:
    """Of each class (number modulo 3) the first two by number validate, the others test."""
    write_tiny_imagenet(tmp_path)
    data = load(tmp_path)
    assert data.validation is not None
    assert data.validation.targets.tolist() == [0, 1, 2, 0, 1, 2]
    assert data.test.targets.tolist() == [0, 1, 2, 0, 1, 2]
    assert data.validation.images[0].sum() == 0, "val_0.JPEG, which is gray"
    (folder,) = image_cache.glob("tiny_imagenet-*")
    assert read_about(folder).origin == "validation: 0 1 2 3 4 5"


def test_missing_data_names_the_download(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"neither tiny-imagenet-200\.zip nor .*download http://cs231n.*RENYI_DATA"):
        load(tmp_path)


def test_damage_is_named(tmp_path: Path) -> None:
    cut = write_tiny_imagenet(tmp_path / "cut")
    cut.write_bytes(cut.read_bytes()[:-50])
    with pytest.raises(TrainingError, match=r"tiny-imagenet-200\.zip: not a readable zip .*truncated"):
        load(tmp_path / "cut")

    flipped = write_tiny_imagenet(tmp_path / "flipped")
    data = bytearray(flipped.read_bytes())
    data[len(data) // 3] ^= 0xFF
    flipped.write_bytes(data)
    with pytest.raises(TrainingError, match=r"\.JPEG: missing or damaged \(Bad CRC-32"):
        load(tmp_path / "flipped")

    folder = write_tiny_imagenet(tmp_path / "less", zipped=False)
    (folder / "train" / "n00000003" / "images" / "n00000003_1.JPEG").unlink()
    with pytest.raises(TrainingError, match=r"train/n00000003/images has 1 images, other classes 2; some are missing"):
        load(tmp_path / "less")

    folder = write_tiny_imagenet(tmp_path / "hole", zipped=False)
    (folder / "val" / "images" / "val_3.JPEG").unlink()
    with pytest.raises(TrainingError, match=r"val/images/val_3\.JPEG: missing or damaged"):
        load(tmp_path / "hole")

    folder = write_tiny_imagenet(tmp_path / "odd", zipped=False)
    (folder / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn77\n")
    with pytest.raises(TrainingError, match=r"val_annotations\.txt: row 0 names no class of wnids\.txt"):
        load(tmp_path / "odd")


def test_another_set_in_its_folder_is_not_taken_for_it(tmp_path: Path) -> None:
    write_tiny_imagenet(tmp_path, classes=2, validation=6)
    with pytest.raises(
        TrainingError, match=r"not TinyImageNet: 2 classes of 2 training images and 12 validation images"
    ):
        load(tmp_path)
