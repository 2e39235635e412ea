"""CIFAR-10 and CIFAR-100 through torchvision: from a folder that exists, or downloaded and checked by checksum."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainables.cache_folder import locked
from trainables.data.dataset import Dataset, Normalization, check_normalization
from trainables.data.decoding import Image
from trainables.data.image_cache import About, cached, read_split, write_split
from trainables.data.root import data_root
from trainables.errors import TrainingError
from trainables.trial.specs import DataSpec

# As in the code of the paper's authors.
NORMALIZATIONS = {
    "cifar10": Normalization((0.491, 0.482, 0.447), (0.247, 0.243, 0.262)),
    "cifar100": Normalization((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
NUM_CLASSES = {"cifar10": 10, "cifar100": 100}


def load_cifar(spec: DataSpec) -> Dataset:
    """50 000 images of 32×32 pixels to train on and 10 000 to test on.

    Raises:
        TrainingError: the images are not there and can not be downloaded, or a file is damaged; it is named.
    """
    root = data_root(spec)
    folder = root / FOLDERS[spec.dataset]
    if not folder.is_dir():
        _download(spec.dataset, root)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    source = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    cache = cached(spec.dataset, [spec.dataset, source], lambda scratch: _build(scratch, spec.dataset, root))
    default = NORMALIZATIONS[spec.dataset]
    mean, std = spec.mean or default.mean, spec.std or default.std
    check_normalization(mean, std, 3)
    num_classes = NUM_CLASSES[spec.dataset]
    return Dataset(read_split(cache, "train"), read_split(cache, "test"), num_classes, Normalization(mean, std))


def _torchvision(dataset: str) -> Any:
    from torchvision import datasets  # takes a second to import, and is needed once a machine

    return {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[dataset]


def _download(dataset: str, root: Path) -> None:
    """Download the archive, with a progress bar, and unpack it. Of many processes one does this; the others wait."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / f".{dataset}.lock"):
            if not (root / FOLDERS[dataset]).is_dir():
                _torchvision(dataset)(root, download=True)
    except (OSError, RuntimeError) as error:
        raise TrainingError(
            f"data.root: {root} has no {FOLDERS[dataset]}, and the download failed ({error}); put the unpacked archive "
            f"{_torchvision(dataset).url} there, or set data.root or RENYI_DATA to its folder"
        ) from error


def _build(scratch: Path, dataset: str, root: Path) -> About:
    kind = _torchvision(dataset)
    _check_files(kind, root / FOLDERS[dataset])
    statistics = {}
    for split in ("train", "test"):
        data = kind(root, train=split == "train", download=False)
        statistics[split] = write_split(scratch, split, len(data.targets), _rows(data))
    counts = statistics["train"]
    return About(NUM_CLASSES[dataset], counts.mean, counts.std, tuple(data.classes))


def _rows(data: Any) -> Iterator[tuple[Image, int]]:
    for pixels, target in zip(data.data, data.targets, strict=True):
        yield pixels.transpose(2, 0, 1), target


def _check_files(kind: Any, folder: Path) -> None:
    """Check every file against its published checksum: torchvision does not say which file is damaged."""
    from torchvision.datasets.utils import check_integrity

    files = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
    for name, checksum in files:
        path = folder / name
        if not check_integrity(str(path), checksum):
            problem = "is damaged (its checksum is wrong)" if path.exists() else "is missing"
            raise TrainingError(f"{path} {problem}; delete {folder} and run again to download it")
