"""The files of one trial. Each is written when its step is done, so the files that exist define the trial's state."""

import json
import math
import os
import socket
import traceback
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

from analysis.one_line import one_line
from trainables.errors import ReplacedError
from trainables.trial.code import Code
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import Folder

SPEC_FILE = "spec.json"
CODE_FILE = "code.json"
INITIAL_CHECKPOINT = "initial.pt"
LAST_CHECKPOINT = "last.pt"
BEST_CHECKPOINT = "best.pt"
TRAINED_FILE = "trained.json"
FAILED_FILE = "failed.json"
SHIFTS_FOLDER = "shifts"
CLEANED_FILE = "cleaned.json"  # `renyi clean` has removed its checkpoints, or begun to
RUN_FILE = "mlflow_run.json"
WORKER_FILE = "worker.json"
TRAINING_FILES = (
    SPEC_FILE,
    CODE_FILE,
    INITIAL_CHECKPOINT,
    LAST_CHECKPOINT,
    BEST_CHECKPOINT,
    TRAINED_FILE,
)  # a worker's own


@dataclass(frozen=True)
class EpochMetrics:
    """The losses, accuracies and times of one epoch of training."""

    epoch: int  # zero-based
    learning_rate: float
    train_loss: float  # mean cross-entropy over the epoch's batches, each before its step, without label smoothing
    test_loss: float | None  # mean cross-entropy after the epoch; None where the epoch was not evaluated
    test_accuracy: float | None  # in [0, 1]
    seconds: float  # wall time of the epoch
    timestamp: float  # Unix time at its end, kept so that a point which is logged twice is one point
    validation_accuracy: float | None = None  # in [0, 1], where the data set has validation images
    system: dict[str, float] = field(default_factory=dict)  # the load of the machine, where the sweep asks for it

    averaged_train_loss: float | None = None  # mean over training images after the epoch, of averaged weights

    @property
    def choice(self) -> float | None:
        """The accuracy by which the best epoch is chosen: on validation images or, optimistically, on test images."""
        return self.test_accuracy if self.validation_accuracy is None else self.validation_accuracy

    @property
    def target_loss(self) -> float:
        """The loss that is compared with `target_train_loss`: where weights are averaged, that of the average."""
        return self.train_loss if self.averaged_train_loss is None else self.averaged_train_loss


@dataclass(frozen=True)
class Generalization:
    """Losses and accuracies of a fully trained network on the training and the test images, in eval mode."""

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
        """Standard error of `gap_loss`; the two sets of samples are independent."""
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
class ShiftedTest:
    """Loss and accuracy of a fully trained network on the test images under a shift, in eval mode."""

    strength: float  # of the corruption
    test_loss: float  # mean cross-entropy over the whole test set
    test_loss_stderr: float
    test_accuracy: float
    test_accuracy_stderr: float
    timestamp: float  # Unix time


@dataclass(frozen=True)
class Failure:
    """Why a trial has no result."""

    stage: str  # "training", "measuring" or "shifts"
    reason: str  # one line
    traceback: str = field(default="", repr=False)

    @classmethod
    def of(cls, stage: str, error: BaseException) -> "Failure":
        """The failure that an exception caused."""
        lines = traceback.format_exception(error)
        return cls(stage, one_line(error), "".join(lines))


class TrialFolder:
    """Typed access to the files of a trial."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._worker = ""

    def claim(self) -> None:
        """Make this worker the one that trains the trial. An earlier worker that is still alive stops at `check`."""
        self._worker = uuid.uuid4().hex
        worker = {"worker": self._worker, "host": socket.gethostname(), "process": os.getpid()}
        write_json(self.folder, WORKER_FILE, worker)
        self.folder.clear(*TRAINING_FILES)

    def check(self) -> None:
        """Do nothing while the trial is claimed by this worker; costs a read of a small file.

        Raises:
            ReplacedError: another worker has claimed it.
        """
        worker = json.loads(self.folder.read(WORKER_FILE))
        if worker["worker"] != self._worker:
            raise ReplacedError(f"process {worker['process']} on {worker['host']} now trains {self.folder.uri}")

    def write_spec(self, spec: TrialSpec) -> None:
        """Record the trial of this folder."""
        self.folder.write(SPEC_FILE, spec.model_dump_json(indent=2).encode())

    def write_code(self, code: Code) -> None:
        """Record the code that trains the trial from now on, if it is not the last one recorded."""
        versions = self.read_code()
        if versions[-1:] != [code]:
            write_json(self.folder, CODE_FILE, {"versions": [each.to_json() for each in [*versions, code]]})

    def read_code(self) -> list[Code]:
        """The code that trained the trial, in order: several where it was continued with other code; none where an
        earlier version of this package trained it."""
        try:
            return [Code.of_json(each) for each in json.loads(self.folder.read(CODE_FILE))["versions"]]
        except FileNotFoundError:
            return []

    def write_trained(self, trained: Trained) -> None:
        """Mark the trial as trained: its last checkpoint is now final."""
        write_json(self.folder, TRAINED_FILE, asdict(trained))

    def read_trained(self) -> Trained:
        """The outcome of training; FileNotFoundError before the end of training."""
        data = json.loads(self.folder.read(TRAINED_FILE))
        return Trained([EpochMetrics(**epoch) for epoch in data["history"]], Generalization(**data["generalization"]))

    @property
    def shifts(self) -> Folder:
        """The folder of the results under shifts."""
        return self.folder / SHIFTS_FOLDER

    def write_shift(self, name: str, result: ShiftedTest) -> None:
        """Keep the result under a shift."""
        write_json(self.shifts, f"{name}.json", asdict(result))

    def shift_names(self) -> list[str]:
        """The shifts under which the network has been evaluated, sorted."""
        return [name.removesuffix(".json") for name in self.shifts.names() if name != FAILED_FILE]

    def read_shifts(self) -> dict[str, ShiftedTest]:
        """The result under each shift so far, by its name."""
        return {name: ShiftedTest(**json.loads(self.shifts.read(f"{name}.json"))) for name in self.shift_names()}

    def write_run_id(self, tracking: str, run_id: str) -> None:
        """Record the id of this trial's run at a tracking address."""
        write_json(self.folder, RUN_FILE, {"tracking": tracking, "run_id": run_id})

    def read_run_id(self, tracking: str) -> str | None:
        """The id of this trial's run at a tracking address, if it is recorded."""
        try:
            recorded = json.loads(self.folder.read(RUN_FILE))
        except FileNotFoundError:
            return None
        return str(recorded["run_id"]) if recorded["tracking"] == tracking else None


def write_json(folder: Folder, name: str, data: dict[str, Any]) -> None:
    """Write a small file that people can read."""
    folder.write(name, json.dumps(data, indent=2).encode())


def write_failure(folder: Folder, failure: Failure) -> None:
    """Mark the training or the measurement in a folder as failed."""
    write_json(folder, FAILED_FILE, asdict(failure))


def read_failure(folder: Folder) -> Failure:
    """Why the training or the measurement in a folder failed; FileNotFoundError if it did not fail."""
    return Failure(**json.loads(folder.read(FAILED_FILE)))
