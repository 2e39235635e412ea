"""What the driver has done for it by a process that ends."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainables.data.images import draw, encode, write_parquet
from trainables.errors import TrainingError
from trainables.training import work
from trainables.training.watched import prepare_watched
from trainables.trial.specs import DataSpec


def parquet_set(folder: Path) -> DataSpec:
    images = [encode(pixels) for pixels in draw(8, size=4)]
    files = {split: str(write_parquet(folder / f"{split}.parquet", images, [0, 1] * 4)) for split in ("train", "test")}
    return DataSpec(dataset="parquet", train=(files["train"],), test=(files["test"],))


def test_the_cache_is_filled_by_a_process_that_ends(tmp_path: Path, image_cache: Path) -> None:
    before = os.times().children_user
    prepare_watched(parquet_set(tmp_path / "set"))
    assert [path for path in image_cache.iterdir() if path.is_dir()]
    assert os.times().children_user > before
    assert not any(path.name.endswith(".partial") for path in image_cache.iterdir())


def test_an_error_arrives_with_its_message(tmp_path: Path) -> None:
    spec = parquet_set(tmp_path / "set")
    (tmp_path / "set" / "test.parquet").write_bytes(b"damaged")
    with pytest.raises(TrainingError, match=r"test\.parquet: not a readable Parquet file"):
        prepare_watched(spec)


def exit_at_once(spec: DataSpec) -> Iterator[None]:
    os._exit(7)


def test_a_process_that_ends_before_it_is_done_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "prepare_data", exit_at_once)
    with pytest.raises(TrainingError, match=r"parquet can't be prepared: its process ended itself with exit code 7"):
        prepare_watched(parquet_set(tmp_path / "set"))
