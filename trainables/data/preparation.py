"""Download and decode a data set in another process, so that neither it nor torch stays in the memory of this one."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from trainables.trial.specs import DataSpec


def prepare_dataset(spec: DataSpec) -> None:
    """Download and decode a data set on this machine, in a process that ends afterwards.

    The driver lives as long as the sweep; torch and the images would take more than half a gigabyte of its memory.

    Raises:
        TrainingError: it is missing or damaged; the message names the file and the remedy.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as process:
        process.submit(_load, spec).result()


def _load(spec: DataSpec) -> None:
    from trainables.data import load_dataset

    load_dataset(spec)
