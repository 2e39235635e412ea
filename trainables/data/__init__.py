"""Data sets by name, as uint8 images that are normalized and augmented batch by batch where they are used."""

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
    """The data set a trial asks for, on the CPU; decoded once a machine, opened once a process.

    Raises:
        TrainingError: it is not where the specification says, or damaged; the message names the file and the remedy.
    """
    file, _, function = DATA_SETS[spec.dataset].loader.partition(".")
    loader: Callable[[DataSpec], Dataset] = getattr(import_module(f"{__name__}.{file}"), function)
    data = loader(spec)
    return data if spec.validation is None else data.hold_out(spec.validation)
