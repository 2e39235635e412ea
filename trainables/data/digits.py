"""scikit-learn's bundled handwritten digits: 1 797 real 8×8 images, no download."""

import torch

from analysis.seeding import derive_seed
from trainables.data.dataset import Dataset

NUM_TRAIN = 1000


def load_digits() -> Dataset:
    """1 000 images to train on and 797 to test on, a fixed random split; pixels scaled to mean 0 and deviation 1."""
    from sklearn import datasets

    digits = datasets.load_digits()
    images = torch.from_numpy(digits.images).float()[:, None] / 16
    images = (images - 0.3053) / 0.3761  # mean and deviation of all pixels
    targets = torch.from_numpy(digits.target).long()
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(derive_seed("digits split")))
    train, test = order[:NUM_TRAIN], order[NUM_TRAIN:]
    return Dataset(images[train], targets[train], images[test], targets[test], num_classes=10)
