"""A process that trains one trial. Loaded once by multiprocessing's fork server, with libraries and digits."""

from multiprocessing.connection import Connection

import torch

from trainables.data import load_dataset
from trainables.training import loop as training
from trainables.trial.folder import TrialFolder
from trainables.trial.specs import DataSpec, TrialSpec
from trainables.trial.storage import open_folder

load_dataset(DataSpec(dataset="digits"))
torch.optim.SGD([torch.zeros(1)])  # the first optimizer of a process imports torch's compiler, which takes seconds


def train_in_process(wanted: TrialSpec, folder: str, progress: Connection) -> None:
    """Train, and send a word after each epoch, all of which are kept."""
    torch.set_num_threads(1)
    training.CHECKPOINT_SHARE = 1.0
    for metrics in training.train(wanted, TrialFolder(open_folder(folder)), torch.device("cpu")):
        progress.send(metrics.epoch)
