"""A data set made ready for the processes that will train on it, which keeps it, and torch, out of this one."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from trainables.trial.specs import DataSpec


def prepare_dataset(spec: DataSpec) -> None:
    """Have a data set downloaded and decoded on this machine, in a process of its own.

    Torch and the images would take half a gigabyte and more of a process that lives as long as the sweep.

    Raises:
        TrainingError: it is not where the specification says, or damaged; the message names the file and the remedy.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as process:
        process.submit(_load, spec).result()


def _load(spec: DataSpec) -> None:
    from trainables.data import load_dataset

    load_dataset(spec)
