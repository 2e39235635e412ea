"""Data sets by name, as uint8 images that are normalized and augmented batch by batch where they are used."""

from collections.abc import Callable
from functools import cache

from trainables.data.augmentation import Augmentation
from trainables.data.cifar import load_cifar
from trainables.data.dataset import Dataset, Normalization, Split, stratified_indices
from trainables.data.digits import load_digits
from trainables.data.parquet import load_parquet
from trainables.data.tiny_imagenet import load_tiny_imagenet
from trainables.trial.specs import DataSpec

DATASETS: dict[str, Callable[[DataSpec], Dataset]] = {
    "digits": load_digits,
    "cifar10": load_cifar,
    "cifar100": load_cifar,
    "tiny_imagenet": load_tiny_imagenet,
    "parquet": load_parquet,
}

__all__ = ["DATASETS", "Augmentation", "Dataset", "Normalization", "Split", "load_dataset", "stratified_indices"]


@cache
def load_dataset(spec: DataSpec) -> Dataset:
    """The data set a trial asks for, on the CPU; decoded once a machine, opened once a process.

    Raises:
        TrainingError: it is not where the specification says, or damaged; the message names the file and the remedy.
    """
    data = DATASETS[spec.dataset](spec)
    return data if spec.validation is None else data.hold_out(spec.validation)
