"""CIFAR through torchvision: a folder that exists, a download, and damage."""

import hashlib
import http.server
import tarfile
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from tests.trainables.data.images import Pixels, write_cifar10
from trainables.data import load_dataset
from trainables.errors import TrainingError
from trainables.trial.specs import DataSpec


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def written(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Pixels]:
    """A small archive, whose checksums torchvision takes for the published ones."""
    files = write_cifar10(root)

    def checksum(name: str) -> str:
        return hashlib.md5((root / "cifar-10-batches-py" / name).read_bytes()).hexdigest()

    monkeypatch.setattr(
        datasets.CIFAR10, "train_list", [[f"data_batch_{k}", checksum(f"data_batch_{k}")] for k in range(1, 6)]
    )
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", checksum("test_batch")]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": checksum("batches.meta")}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return files


def test_a_folder_that_exists_is_read(root: Path, written: dict[str, Pixels]) -> None:
    data = load_dataset(DataSpec(dataset="cifar10", root=str(root)))
    expected = np.concatenate([written[f"data_batch_{k}"] for k in range(1, 6)])
    assert np.array_equal(data.train.images.numpy(), expected.transpose(0, 3, 1, 2))
    assert np.array_equal(data.test.images.numpy(), written["test_batch"].transpose(0, 3, 1, 2))
    assert data.test.targets.tolist() == list(range(10))
    assert (data.num_classes, data.in_channels) == (10, 3)
    assert data.normalize.mean == (0.491, 0.482, 0.447)


def test_the_root_may_come_from_the_environment(
    root: Path, written: dict[str, Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENYI_DATA", str(root))
    load_dataset.cache_clear()
    assert len(load_dataset(DataSpec(dataset="cifar10")).train) == 50
    load_dataset.cache_clear()


def test_a_damaged_file_is_named(root: Path, written: dict[str, Pixels]) -> None:
    path = root / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TrainingError, match=r"data_batch_3 is damaged \(its checksum is wrong\); delete .* run again"):
        load_dataset(DataSpec(dataset="cifar10", root=str(root)))
    path.unlink()
    with pytest.raises(TrainingError, match=r"data_batch_3 is missing"):
        load_dataset(DataSpec(dataset="cifar10", root=str(root)))


def test_a_failed_download_names_the_archive_and_the_remedy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.CIFAR10, "url", (root.parent / "nowhere.tar.gz").as_uri())
    with pytest.raises(
        TrainingError, match=r"download failed .*nowhere\.tar\.gz there, or set data\.root or RENYI_DATA"
    ):
        load_dataset(DataSpec(dataset="cifar10", root=str(root)))


def test_the_archive_is_downloaded_and_unpacked(
    root: Path, written: dict[str, Pixels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "cifar.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    elsewhere = tmp_path / "elsewhere"
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(datasets.CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/cifar.tar.gz")
        assert len(load_dataset(DataSpec(dataset="cifar10", root=str(elsewhere))).train) == 50
        server.shutdown()
    assert (elsewhere / "cifar-10-batches-py" / "test_batch").exists()
