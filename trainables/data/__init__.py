"""Data sets by name, as tensors."""

from collections.abc import Callable
from functools import cache

from trainables.data.dataset import Dataset, stratified_indices
from trainables.data.digits import load_digits
from trainables.specs import DataSpec

DATASETS: dict[str, Callable[[], Dataset]] = {"digits": load_digits}

__all__ = ["DATASETS", "Dataset", "load_dataset", "stratified_indices"]


@cache
def load_dataset(spec: DataSpec) -> Dataset:
    """The data set a trial asks for, on the CPU; read once a process."""
    return DATASETS[spec.dataset]()
