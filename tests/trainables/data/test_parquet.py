"""Parquet as on the Hugging Face hub, and everything that can be wrong with it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainables.data.images import draw, encode, write_parquet
from trainables.data import Dataset, load_dataset
from trainables.errors import TrainingError
from trainables.trial.specs import DataSpec

PIXELS = draw(40, size=8)
IMAGES = [encode(pixels) for pixels in PIXELS]
LABELS = [k % 4 for k in range(40)]


@pytest.fixture
def test_file(tmp_path: Path) -> Path:
    return write_parquet(tmp_path / "animals" / "test.parquet", IMAGES[:8], LABELS[:8])


def load(train: object, test: Path, **changes: object) -> Dataset:
    fields = {"dataset": "parquet", "train": train, "test": str(test)} | changes
    return load_dataset(DataSpec.model_validate(fields))


def test_images_and_classes_are_those_of_the_files(tmp_path: Path, test_file: Path) -> None:
    train = write_parquet(tmp_path / "animals" / "train.parquet", IMAGES, LABELS)
    data = load(str(train), test_file)
    assert np.array_equal(data.train.images.numpy(), PIXELS.transpose(0, 3, 1, 2))
    assert data.train.targets.tolist() == LABELS
    assert len(data.test) == 8
    assert data.num_classes == 4
    normalized = data.normalize(data.train.images)
    assert normalized.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert (normalized.std(dim=(0, 2, 3), correction=0) - 1).abs().max() < 1e-5


def test_lists_globs_and_addresses_name_files_in_order(tmp_path: Path, test_file: Path) -> None:
    folder = tmp_path / "animals"
    for k in range(4):
        write_parquet(folder / f"train-{k}.parquet", IMAGES[10 * k : 10 * k + 10], LABELS[10 * k : 10 * k + 10])
    expected = torch.from_numpy(PIXELS.transpose(0, 3, 1, 2))
    listed = [str(folder / f"train-{k}.parquet") for k in range(4)]
    for address in (
        listed,
        f"{folder}/train-*.parquet",
        f"file://{folder}/train-*.parquet",
        f"{tmp_path}/**/train-*.parquet",
    ):
        assert torch.equal(load(address, test_file).train.images, expected), address


def test_class_names_of_the_hub_count_the_classes(tmp_path: Path, test_file: Path) -> None:
    names = [f"animal {k}" for k in range(7)]
    train = write_parquet(tmp_path / "train.parquet", IMAGES, LABELS, names, columns=("img", "kind"))
    test = write_parquet(tmp_path / "test.parquet", IMAGES[:4], LABELS[:4], names, columns=("img", "kind"))
    assert load(str(train), test, image="img", label="kind").num_classes == 7


def test_gray_images_have_one_channel(tmp_path: Path) -> None:
    gray = [encode(pixels[..., 0]) for pixels in PIXELS]
    train = write_parquet(tmp_path / "train.parquet", gray, LABELS)
    data = load(str(train), train)
    assert data.in_channels == 1
    assert np.array_equal(data.train.images.numpy()[:, 0], PIXELS[..., 0])


def test_given_constants_are_used_and_must_fit(tmp_path: Path, test_file: Path) -> None:
    train = write_parquet(tmp_path / "train.parquet", IMAGES, LABELS)
    data = load(str(train), test_file, mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25])
    assert data.normalize(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).flatten().tolist() == pytest.approx(
        [2, 2, 2]
    )
    with pytest.raises(TrainingError, match=r"data.mean has 1 values; the images have 3 channels"):
        load(str(train), test_file, mean=[0.5])


@pytest.mark.parametrize(
    ("row", "image", "label", "message"),
    [
        (17, b"not an image", 0, r"row 17: not a readable image"),
        (20, IMAGES[20][:60], 0, r"row 20: not a readable image .*damaged, get it again"),
        (3, None, 0, r"row 3: there is no image: the column holds no bytes and no path"),
        (5, IMAGES[5], -1, r"row 5: the class is -1, which commonly means no label; leave such rows out"),
        (5, IMAGES[5], None, r"row 5: the class is None"),
        (9, encode(draw(1, size=9)[0]), 0, r"row 9: the image is 9×9, the first one 8×8"),
    ],
)
def test_a_bad_row_is_named(
    tmp_path: Path, test_file: Path, row: int, image: bytes | None, label: int | None, message: str
) -> None:
    images: list[bytes | None] = [*IMAGES]
    labels: list[int | None] = [*LABELS]
    images[row], labels[row] = image, label
    train = write_parquet(tmp_path / "train.parquet", images, labels)
    with pytest.raises(TrainingError, match=rf"train\.parquet: {message}"):
        load(str(train), test_file)


def test_a_bad_file_is_named_with_its_remedy(tmp_path: Path, test_file: Path, image_cache: Path) -> None:
    good = write_parquet(tmp_path / "train.parquet", IMAGES, LABELS)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(good.read_bytes()[:-100])
    cases = {
        str(cut): r"cut\.parquet: not a readable Parquet file .*truncated, get it again",
        str(tmp_path / "nowhere.parquet"): r"data.train: .*nowhere\.parquet: there is no such file",
        str(tmp_path / "no*.parquet"): r"data.train: .*no\*\.parquet: there is no such file",
        str(tmp_path): r"is a folder; add /\*\.parquet",
        "nope://bucket/x.parquet": r"data.train: nope://bucket/x\.parquet can't be reached",
    }
    for address, message in cases.items():
        with pytest.raises(TrainingError, match=message):
            load(address, test_file)
    with pytest.raises(TrainingError, match=r"no column 'img', but image, label; name them"):
        load(str(good), test_file, image="img")
    more = write_parquet(tmp_path / "more.parquet", IMAGES[:4], [9, 9, 9, 9])
    with pytest.raises(
        TrainingError,
        match=r"data.test has the class 9 .*more\.parquet: row 0; 4 rows\), but data.train only 0, 1, 2, 3",
    ):
        load(str(good), more)
    assert not list(image_cache.glob("[!.]*")), "a failed build left a cache"
