"""The files of one trial, by name: each is written once its step is done, so which ones exist is the trial's state."""

import json
import math
import os
import socket
import traceback
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

from trainables.errors import ReplacedError
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import Folder

SPEC_FILE = "spec.json"
INITIAL_CHECKPOINT = "initial.pt"
LAST_CHECKPOINT = "last.pt"
BEST_CHECKPOINT = "best.pt"
TRAINED_FILE = "trained.json"
FAILED_FILE = "failed.json"
RUN_FILE = "mlflow_run.json"
WORKER_FILE = "worker.json"
TRAINING_FILES = (SPEC_FILE, INITIAL_CHECKPOINT, LAST_CHECKPOINT, BEST_CHECKPOINT, TRAINED_FILE)  # a worker's own


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch of training showed."""

    epoch: int  # zero-based
    learning_rate: float
    train_loss: float  # mean over the epoch's batches, as they were trained on
    test_loss: float  # mean cross-entropy after the epoch
    test_accuracy: float  # in [0, 1]
    seconds: float  # wall time of the epoch
    timestamp: float  # Unix time at its end, kept so that logging it twice is logging it once
    validation_accuracy: float | None = None  # in [0, 1], where the data set has validation images
    system: dict[str, float] = field(default_factory=dict)  # readings of the machine, where they are wanted

    @property
    def choice(self) -> float:
        """What the best epoch is chosen by: validation accuracy, or, optimistically, that on the test images."""
        return self.test_accuracy if self.validation_accuracy is None else self.validation_accuracy


@dataclass(frozen=True)
class Generalization:
    """How a network trained to the end does on what it saw and on what it did not (SPEC §2), in eval mode."""

    train_loss: float  # mean cross-entropy over the whole training set
    train_loss_stderr: float
    train_accuracy: float
    train_accuracy_stderr: float
    test_loss: float
    test_loss_stderr: float
    test_accuracy: float
    test_accuracy_stderr: float

    @property
    def gap_loss(self) -> float:
        """Test loss − training loss: the generalization gap."""
        return self.test_loss - self.train_loss

    @property
    def gap_loss_stderr(self) -> float:
        """Standard error of `gap_loss`, the two sets of samples being independent."""
        return math.hypot(self.test_loss_stderr, self.train_loss_stderr)

    @property
    def gap_error(self) -> float:
        """Test error − training error."""
        return self.train_accuracy - self.test_accuracy

    @property
    def gap_error_stderr(self) -> float:
        """Standard error of `gap_error`."""
        return math.hypot(self.test_accuracy_stderr, self.train_accuracy_stderr)


@dataclass(frozen=True)
class Trained:
    """The outcome of training, without the weights."""

    history: list[EpochMetrics]
    generalization: Generalization

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(epoch.seconds for epoch in self.history)


@dataclass(frozen=True)
class Failure:
    """Why a trial has no result."""

    stage: str  # "training" or "measuring"
    reason: str  # one line
    traceback: str = field(default="", repr=False)

    @classmethod
    def of(cls, stage: str, error: BaseException) -> "Failure":
        """The failure that an exception means."""
        lines = traceback.format_exception(error)
        return cls(stage, f"{type(error).__name__}: {error}".splitlines()[0], "".join(lines))


class TrialFolder:
    """Typed access to a trial's files."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._worker = ""

    def take(self) -> None:
        """Train the trial from here on: a worker that did so before, and lives on somewhere, is to stop (`check`)."""
        self._worker = uuid.uuid4().hex
        worker = {"worker": self._worker, "host": socket.gethostname(), "process": os.getpid()}
        write_json(self.folder, WORKER_FILE, worker)
        self.folder.clear(*TRAINING_FILES)

    def check(self) -> None:
        """Do nothing while it is this worker that trains the trial; costs a read of a small file.

        Raises:
            ReplacedError: another one has taken it.
        """
        worker = json.loads(self.folder.read(WORKER_FILE))
        if worker["worker"] != self._worker:
            raise ReplacedError(f"process {worker['process']} on {worker['host']} trains {self.folder.uri} by now")

    def write_spec(self, spec: TrialSpec) -> None:
        """Say whose folder this is."""
        self.folder.write(SPEC_FILE, spec.model_dump_json(indent=2).encode())

    def read_spec(self) -> TrialSpec:
        """The specification that the folder was made for."""
        return TrialSpec.model_validate_json(self.folder.read(SPEC_FILE))

    def write_trained(self, trained: Trained) -> None:
        """Mark the trial as trained: from here on its last checkpoint is final."""
        write_json(self.folder, TRAINED_FILE, asdict(trained))

    def read_trained(self) -> Trained:
        """The outcome of training; FileNotFoundError before its end."""
        data = json.loads(self.folder.read(TRAINED_FILE))
        return Trained([EpochMetrics(**epoch) for epoch in data["history"]], Generalization(**data["generalization"]))

    def write_run_id(self, tracking: str, run_id: str) -> None:
        """Note which run at a tracking address is this trial's."""
        write_json(self.folder, RUN_FILE, {"tracking": tracking, "run_id": run_id})

    def read_run_id(self, tracking: str) -> str | None:
        """The run at a tracking address that is this trial's, if one is noted."""
        try:
            noted = json.loads(self.folder.read(RUN_FILE))
        except FileNotFoundError:
            return None
        return str(noted["run_id"]) if noted["tracking"] == tracking else None


def write_json(folder: Folder, name: str, data: dict[str, Any]) -> None:
    """Write a small file that people may want to read."""
    folder.write(name, json.dumps(data, indent=2).encode())


def write_failure(folder: Folder, failure: Failure) -> None:
    """Mark the training, or the measurement, that the folder belongs to as failed."""
    write_json(folder, FAILED_FILE, asdict(failure))


def read_failure(folder: Folder) -> Failure:
    """Why the training, or the measurement, that the folder belongs to failed; FileNotFoundError where it did not."""
    return Failure(**json.loads(folder.read(FAILED_FILE)))
