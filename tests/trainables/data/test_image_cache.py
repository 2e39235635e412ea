"""A cache is built once, and is whole or absent, with several processes at the same time or one that is killed."""

import json
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainables.data.images import draw
from trainables.data import image_cache as image_cache_module
from trainables.data.image_cache import ABOUT_FILE, About, cached, read_about, read_split, write_split
from trainables.errors import TrainingError

PIXELS = draw(600, size=8).transpose(0, 3, 1, 2)


def build(scratch: Path) -> About:
    """A cache of 600 images; each build leaves a mark beside the caches."""
    (scratch.parent / f"built-{os.getpid()}-{time.monotonic_ns()}").touch()
    counts = write_split(scratch, "train", len(PIXELS), ((image, k % 10) for k, image in enumerate(PIXELS)))
    return About(10, counts.mean, counts.std, origin="drawn")


def builds(folder: Path) -> int:
    return len(list(folder.glob("built-*")))


def test_what_is_written_is_read(image_cache: Path) -> None:
    folder = cached("random", ["a"], build)
    split = read_split(folder, "train")
    assert np.array_equal(split.images.numpy(), PIXELS)
    assert split.targets.tolist() == [k % 10 for k in range(600)]
    about = read_about(folder)
    assert about.mean == pytest.approx(PIXELS.mean(axis=(0, 2, 3)) / 255)
    assert about.std == pytest.approx(PIXELS.std(axis=(0, 2, 3)) / 255)
    assert about.origin == "drawn"
    assert cached("random", ["a"], build) == folder
    assert builds(image_cache) == 1
    assert cached("random", ["b"], build) != folder


def test_images_are_mapped_not_read() -> None:
    folder = cached("random", ["a"], build)
    images = read_split(folder, "train").images
    mapped = Path("/proc/self/maps")
    if mapped.exists():
        assert str(folder / "train_images.npy") in mapped.read_text()
    images[0] = 0  # stays in this process
    assert np.array_equal(read_split(folder, "train").images.numpy(), PIXELS)


def _ask(folder: str) -> None:
    os.environ["RENYI_CACHE"] = folder
    split = read_split(cached("random", ["a"], build), "train")
    assert torch.equal(split.images, torch.from_numpy(PIXELS))


def test_processes_that_need_it_at_the_same_time_share_one_build(image_cache: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_ask, args=(str(image_cache),)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 6
    assert builds(image_cache) == 1


def _die_while_building(folder: str) -> None:
    os.environ["RENYI_CACHE"] = folder

    def die(scratch: Path) -> About:
        (scratch / "train_images.npy").write_bytes(b"half")
        os.kill(os.getpid(), 9)
        raise AssertionError

    cached("random", ["a"], die)


def test_what_a_process_killed_while_building_left_is_built_again(image_cache: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_die_while_building, args=(str(image_cache),))
    process.start()
    process.join()
    assert process.exitcode == -9
    assert len(read_split(cached("random", ["a"], build), "train")) == 600


def test_an_error_while_building_leaves_nothing(image_cache: Path) -> None:
    def fail(scratch: Path) -> About:
        (scratch / "train_images.npy").write_bytes(b"half")
        raise TrainingError("row 3 is bad")

    with pytest.raises(TrainingError, match="row 3"):
        cached("random", ["a"], fail)
    assert [path.name for path in image_cache.iterdir() if path.is_dir()] == []


def test_a_full_disk_and_a_damaged_cache_are_reported_with_their_remedies(image_cache: Path) -> None:
    def full(scratch: Path) -> About:
        raise OSError(28, "No space left on device")

    with pytest.raises(TrainingError, match=r"No space left on device; make room there, or set RENYI_CACHE"):
        cached("random", ["a"], full)
    folder = cached("random", ["a"], build)
    images = folder / "train_images.npy"
    images.write_bytes(images.read_bytes()[:-10])
    with pytest.raises(TrainingError, match=r"random-.* is damaged .*; delete it"):
        read_split(folder, "train")
    assert json.loads((folder / ABOUT_FILE).read_text())["num_classes"] == 10


@pytest.mark.parametrize("name", ["train_images.npy", "train_targets.npy", ABOUT_FILE])
@pytest.mark.parametrize("change", ["flip", "cut", "delete"])
def test_a_damaged_cache_is_never_used_and_is_built_again(
    image_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: str
) -> None:
    file = cached("random", ["a"], build) / name
    before, data = file.stat(), bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data[: len(data) // 2] if change == "cut" else data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as where a disk has done it
    if change == "delete":
        file.unlink()
    monkeypatch.setattr(image_cache_module, "BOOT", tmp_path / "boot")  # the machine has been started since
    with pytest.warns(UserWarning, match=rf"{name}.*; the images are decoded again"):
        folder = cached("random", ["a"], build)
    assert np.array_equal(read_split(folder, "train").images.numpy(), PIXELS)
    assert builds(image_cache) == 2
    assert cached("random", ["a"], build) == folder
    assert builds(image_cache) == 2
