"""Data sets by name: uint8 images, which are normalized and augmented batch by batch where they are used."""

from collections.abc import Callable
from functools import cache
from importlib import import_module

from trainables.catalogue import DATA_SETS
from trainables.data.augmentation import Augmentation
from trainables.data.dataset import Dataset, Normalization, Split, stratified_indices
from trainables.trial.specs import DataSpec

__all__ = ["Augmentation", "Dataset", "Normalization", "Split", "load_dataset", "stratified_indices"]


@cache
def load_dataset(spec: DataSpec) -> Dataset:
    """The data set of a trial, on the CPU: decoded once a machine, opened once a process.

    Raises:
        TrainingError: it is missing or damaged; the message names the file and the remedy.
    """
    file, _, function = DATA_SETS[spec.dataset].loader.partition(".")
    loader: Callable[[DataSpec], Dataset] = getattr(import_module(f"{__name__}.{file}"), function)
    data = loader(spec)
    return data if spec.validation is None else data.hold_out(spec.validation)
