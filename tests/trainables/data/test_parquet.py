"""Parquet as on the Hugging Face hub, and everything that can be wrong with it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from tests.trainables.data.images import draw, encode, write_parquet
from trainables.data import Dataset, image_cache, load_dataset
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


def test_a_set_is_in_colour_if_one_image_is(tmp_path: Path) -> None:
    """Wherever the coloured image is: in the middle of a chunk, after one, in the test set alone."""
    gray = [encode(pixels[..., 0]) for pixels in PIXELS]
    for place, row in enumerate((0, 7, 39)):
        images = [*gray[:row], IMAGES[row], *gray[row + 1 :]]
        train = write_parquet(tmp_path / f"{place}.parquet", images, LABELS)
        plain = write_parquet(tmp_path / f"plain{place}.parquet", gray, LABELS)
        expected = np.repeat(PIXELS[..., :1].transpose(0, 3, 1, 2), 3, axis=1)
        for data in (load(str(train), plain), load(str(plain), train)):
            assert data.in_channels == 3
            split, other = (
                (data.train, data.test) if data.train.images[row].unique().numel() > 64 else (data.test, data.train)
            )
            wanted = expected.copy()
            wanted[row] = PIXELS[row].transpose(2, 0, 1)
            assert np.array_equal(split.images.numpy(), wanted)
            assert np.array_equal(other.images.numpy(), expected)
            assert data.normalize(data.train.images).mean(dim=(0, 2, 3)).abs().max() < 1e-5
        one = load(str(train), plain, channels=1)
        assert one.in_channels == 1


def test_colour_after_a_chunk_of_gray_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "CHUNK", 4)
    images = [encode(pixels[..., 0]) for pixels in PIXELS[:30]] + IMAGES[30:]
    train = write_parquet(tmp_path / "train.parquet", images, LABELS)
    data = load(str(train), train)
    wanted = PIXELS.transpose(0, 3, 1, 2).copy()
    wanted[:30] = wanted[:30, :1]
    assert np.array_equal(data.train.images.numpy(), wanted)
    assert data.normalize(data.train.images).std(dim=(0, 2, 3), correction=0).sub(1).abs().max() < 1e-5


def test_damaged_images_are_skipped_only_if_asked_and_counted(
    tmp_path: Path, test_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images: list[bytes | None] = [*IMAGES]
    images[0], images[5], images[39] = b"damaged", IMAGES[5][:50], None
    train = write_parquet(tmp_path / "train.parquet", images, LABELS)
    data = load(str(train), test_file, on_damaged="skip")
    kept = [row for row in range(40) if row not in (0, 5, 39)]
    assert np.array_equal(data.train.images.numpy(), PIXELS[kept].transpose(0, 3, 1, 2))
    assert data.train.targets.tolist() == [LABELS[row] for row in kept]
    told = capsys.readouterr().err
    assert "3 train images skipped as damaged" in told
    assert "train.parquet: row 0" in told
    rotten = write_parquet(tmp_path / "rotten.parquet", [b"no image"] * 4, LABELS[:4])
    with pytest.raises(TrainingError, match=r"data\.train: all 4 images are damaged, the first: .*row 0"):
        load(str(rotten), test_file, on_damaged="skip")


def test_mixed_sizes_are_brought_to_one(tmp_path: Path) -> None:
    images = [encode(draw(1, size=size)[0]) for size in (9, 12, 30)]
    train = write_parquet(tmp_path / "train.parquet", images, [0, 1, 0])
    assert load(str(train), train, resize=8, crop=6).train.images.shape == (3, 3, 6, 6)
    assert load(str(train), train, crop=[4, 10]).train.images.shape == (3, 3, 4, 10)
    with pytest.raises(
        TrainingError, match=r"row 1: the image is 12×12, the first one 9×9.*data: \{resize: 256, crop: 224\}"
    ):
        load(str(train), train)


def test_images_by_path_lie_beside_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "pictures").mkdir(parents=True)
    for k, image in enumerate(IMAGES[:8]):
        (folder / "pictures" / f"{k}.png").write_bytes(image)
    paths = [f"pictures/{k}.png" if k % 2 else str(folder / "pictures" / f"{k}.png") for k in range(8)]
    parquet.write_table(pa.table({"image": paths, "label": LABELS[:8]}), folder / "train.parquet")
    data = load(str(folder / "train.parquet"), folder / "train.parquet")
    assert np.array_equal(data.train.images.numpy(), PIXELS[:8].transpose(0, 3, 1, 2))
    (folder / "pictures" / "3.png").write_bytes(IMAGES[20])
    load_dataset.cache_clear()
    changed = load(str(folder / "train.parquet"), folder / "train.parquet")
    assert np.array_equal(changed.train.images.numpy()[3], PIXELS[20].transpose(2, 0, 1))
    (folder / "pictures" / "5.png").unlink()
    load_dataset.cache_clear()
    with pytest.raises(TrainingError, match=r"row 5: the image pictures/5\.png can't be read: .*No such file"):
        load(str(folder / "train.parquet"), folder / "train.parquet")


@pytest.mark.parametrize(
    ("form", "cut"), [("AVIF", 0.5), ("DDS", 0.9), ("TIFF", 0.3), ("WEBP", 0.5), ("JPEG2000", 0.5)]
)
def test_a_damaged_image_of_any_format_is_named_by_its_row(
    tmp_path: Path, test_file: Path, form: str, cut: float
) -> None:
    good = encode(PIXELS[3], form)
    train = write_parquet(
        tmp_path / "train.parquet", [IMAGES[0], good[: int(cut * len(good))], *IMAGES[:2]], LABELS[:4]
    )
    with pytest.raises(TrainingError, match=r"train\.parquet: row 1: not a readable image") as raised:
        load(str(train), test_file)
    assert "make room" not in str(raised.value)
