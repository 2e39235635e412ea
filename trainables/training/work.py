"""What a worker does for training; each function is a task, by its dotted path."""

from collections.abc import Iterator
from contextlib import suppress

import torch

from analysis.life import alive
from trainables.data import load_dataset
from trainables.training.device import default_device
from trainables.training.loop import attempt
from trainables.trial.folder import EpochMetrics, TrialFolder
from trainables.trial.specs import DataSpec, TrialSpec
from trainables.trial.storage import open_folder


def prepare_data(spec: DataSpec) -> Iterator[None]:
    """Load a data set, for this process and in the machine's cache.

    Raises:
        TrainingError: it is missing or damaged.
    """
    load_dataset(spec)
    yield from ()


def train_trial(spec: TrialSpec, folder: str, threads: int, system_metrics: bool) -> Iterator[EpochMetrics]:
    """Train a trial with so many CPU threads; its epochs, as `attempt` yields them."""
    torch.set_num_threads(threads)
    with suppress(Exception):  # raised again where it is recorded
        load_dataset(spec.data)
        alive()  # downloading and decoding may take long
    yield from attempt(spec, TrialFolder(open_folder(folder)), default_device(), system_metrics)
