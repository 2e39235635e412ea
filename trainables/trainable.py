"""The Ray Tune trainable: a trial's training loop, reporting to Tune as it goes."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

import ray
from ray import tune

from trainables.errors import STORAGE_ERROR, StorageError
from trainables.processes.worker import NODE_VARIABLE, Worker
from trainables.training.watched import train_watched
from trainables.trial.folder import TRAINED_FILE, TrialFolder
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import open_folder

# Tune holds the trial until each report is processed, so short epochs are reported together.
SECONDS_BETWEEN_REPORTS = 1.0


@cache
def _worker(node: str) -> Worker:
    """The worker of this process, which Tune uses for one trial after another."""
    return Worker({NODE_VARIABLE: node})


def trainable(config: Mapping[str, Any]) -> None:
    """Train the trial `config["trial"]` in the folder `config["folder"]`, with `config["threads"]` CPU threads.

    The trial is trained in a worker beside this process, so a network that hangs or ends its process fails alone, with
    the reason. With `config["system_metrics"]`, its epochs show how busy the machine was.

    Progress is kept in the trial's folder, not in Tune. A trial that is started again, by Tune after a node was lost or
    by a new sweep, goes on from its last checkpoint there. The first report names the node. The last epochs of a
    trained trial are not reported, since the outcome in its folder contains them.
    """
    spec = TrialSpec.model_validate(config["trial"])
    node = ray.get_runtime_context().get_node_id()
    tune.report({"node": node})
    pending: list[dict[str, Any]] = []
    reported = time.monotonic()
    try:
        folder = TrialFolder(open_folder(config["folder"]))
        worker = _worker(node)
        for metrics in train_watched(worker, spec, folder, config["threads"], config["system_metrics"]):
            pending.append(asdict(metrics))
            if time.monotonic() - reported > SECONDS_BETWEEN_REPORTS:
                tune.report({"epochs": pending})
                pending, reported = [], time.monotonic()
        if pending and TRAINED_FILE not in folder.folder.names():  # the outcome has all epochs; a report takes 20 ms
            tune.report({"epochs": pending})
    except StorageError as error:  # ends the sweep; raised, it would make Tune repeat the trial, then fail it
        tune.report({STORAGE_ERROR: str(error)})
