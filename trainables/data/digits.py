"""scikit-learn's bundled handwritten digits: 1 797 real 8×8 images, no download."""

import torch

from analysis.seeding import derive_seed
from trainables.data.dataset import Dataset, Normalization, Split
from trainables.trial.specs import DataSpec

NUM_TRAIN = 1000
NORMALIZATION = Normalization(mean=(0.3053,), std=(0.3761,), largest=16)  # mean and deviation of all pixels


def load_digits(spec: DataSpec) -> Dataset:
    """1 000 images to train on and 797 to test on, a fixed random split. Pixels have mean 0 and deviation 1."""
    from sklearn import datasets

    digits = datasets.load_digits()
    images = torch.from_numpy(digits.images).to(torch.uint8)[:, None]
    targets = torch.from_numpy(digits.target).long()
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(derive_seed("digits split")))
    train, test = order[:NUM_TRAIN], order[NUM_TRAIN:]
    return Dataset(
        Split(images[train], targets[train]),
        Split(images[test], targets[test]),
        num_classes=10,
        normalize=NORMALIZATION,
    )
