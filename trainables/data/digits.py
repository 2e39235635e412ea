"""scikit-learn's bundled handwritten digits: 1 797 real 8×8 images, no download."""

import gzip
import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from analysis.seeding import derive_seed
from trainables.data.dataset import Dataset, Normalization, Split
from trainables.errors import TrainingError
from trainables.trial.specs import DataSpec

NUM_TRAIN = 1000
SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"  # of the unpacked table
FILE = "datasets/data/digits.csv.gz"  # in scikit-learn: 64 pixels and the digit a row
NORMALIZATION = Normalization(mean=(0.3053,), std=(0.3761,), largest=16)  # mean and deviation of all pixels


def load_digits(spec: DataSpec) -> Dataset:
    """1 000 images to train on and 797 to test on, a fixed random split. Pixels have mean 0 and deviation 1."""
    rows = torch.from_numpy(_rows())
    images = rows[:, :-1].to(torch.uint8).reshape(-1, 1, 8, 8)
    targets = rows[:, -1].long()
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(derive_seed("digits split")))
    train, test = order[:NUM_TRAIN], order[NUM_TRAIN:]
    return Dataset(
        Split(images[train], targets[train]),
        Split(images[test], targets[test]),
        num_classes=10,
        normalize=NORMALIZATION,
    )


def _rows() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(1797, 65) what `sklearn.datasets.load_digits` reads, without two seconds of imports in every process."""
    found = find_spec("sklearn")  # located, not imported
    if found is None or found.origin is None:
        raise ModuleNotFoundError("No module named 'sklearn'; install scikit-learn, which brings the digits")
    path = Path(found.origin).parent / FILE
    table = gzip.decompress(path.read_bytes())
    if hashlib.sha256(table).hexdigest() != SHA256:
        raise TrainingError(f"{path}: not the digits that trials are named after; install scikit-learn again")
    return np.loadtxt(table.decode().splitlines(), delimiter=",")
