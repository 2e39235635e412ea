"""The files of one trial. Each is written when its step is done, so the files that exist define the trial's state."""

import math
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar, overload

from analysis.one_line import one_line
from trainables.errors import DamagedError
from trainables.trial.claim import Claim
from trainables.trial.code import Code
from trainables.trial.machine import THIS_MACHINE, Machine
from trainables.trial.manifest import CLEANED_FILE as CLEANED_FILE
from trainables.trial.manifest import FAILED_FILE as FAILED_FILE
from trainables.trial.manifest import (
    LISTED_IN,
    MANIFEST_FILE,
    CheckedFolder,
    checked,
    damaged,
    parsed,
    place_of,
)
from trainables.trial.manifest import RUN_FILE as RUN_FILE
from trainables.trial.manifest import WORKER_FILE as WORKER_FILE
from trainables.trial.seal import sealed_json, unsealed_json
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import Folder

SPEC_FILE = "spec.json"
CODE_FILE = "code.json"
INITIAL_CHECKPOINT = "initial.pt"
LAST_CHECKPOINT = "last.pt"
BEST_CHECKPOINT = "best.pt"
TRAINED_FILE = "trained.json"
MEASUREMENTS_FOLDER = "measurements"
MEASURED_FILE = "measured.json"
SHIFTS_FOLDER = "shifts"
# In a manifest, beside the record:
LISTED_FILES = (SPEC_FILE, CODE_FILE, INITIAL_CHECKPOINT, LAST_CHECKPOINT, BEST_CHECKPOINT)
TRAINING_FILES = (*LISTED_FILES, TRAINED_FILE, MANIFEST_FILE, FAILED_FILE)  # a worker's own
INPUTS = "inputs"  # the key of a record under which it says what it was made from
WEIGHTS = "weights"  # of those, the SHA-256 of the trained weights

T = TypeVar("T")


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
    weights: str = ""  # SHA-256 of the trained weights; empty where it was not recorded

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
    """Typed access to the files of a trial. Whatever is not as it was written is a DamagedError."""

    def __init__(self, folder: Folder, trial_id: str | None = None, machine: Machine = THIS_MACHINE) -> None:
        """A trial's folder; `trial_id` is by default the folder's name."""
        self.folder: CheckedFolder = checked(folder, trial_id)
        self.trial_id = trial_id  # None: the folder may have any name
        self._claim = Claim(self.folder, machine)

    def claim(self) -> None:
        """Make this worker the one that trains the trial. An earlier worker that is still alive stops at `check`."""
        self._claim.take(*TRAINING_FILES)

    def check(self) -> None:
        """Do nothing while the trial is claimed by this worker; costs a read of a small file.

        Raises:
            ReplacedError: another worker has claimed it.
        """
        self._claim.check()

    @property
    def is_trained(self) -> bool:
        """Whether the outcome of training is there, which a worker that was replaced may have written just before."""
        return TRAINED_FILE in self.folder.names()

    def fail(self, failure: Failure) -> None:
        """Mark the training as failed."""
        write_failure(self.folder, failure, self.check_if_claimed)

    def write_spec(self, spec: TrialSpec) -> None:
        """Record the trial of this folder."""
        self.folder.write(SPEC_FILE, spec.model_dump_json(indent=2).encode(), self.check_if_claimed)

    def write_code(self, code: Code) -> None:
        """Record the code that trains the trial from now on, if it is not the last one recorded."""
        versions = self.read_code()
        if versions[-1:] != [code]:
            content = {"versions": [each.to_json() for each in [*versions, code]]}
            write_json(self.folder, CODE_FILE, content, self.check_if_claimed)

    def read_code(self) -> list[Code]:
        """The code that trained the trial, in order: several where it was continued with other code; none where an
        earlier version of this package trained it."""
        try:
            return read_json(self.folder, CODE_FILE, _versions)
        except FileNotFoundError:
            if self.folder.lists(CODE_FILE):
                raise damaged(self.folder, CODE_FILE, "is missing") from None
            return []

    def write_trained(self, trained: Trained) -> None:
        """Mark the trial as trained: its last checkpoint is now final. Results of other weights are forgotten."""
        self._forget_results_of_other_weights(trained.weights)
        there = self.folder.names()
        listed = [name for name in LISTED_FILES if name in there]
        self.folder.complete(TRAINED_FILE, asdict(trained), listed, self.check_if_claimed)

    def read_trained(self) -> Trained:
        """The outcome of training; FileNotFoundError before the end of training."""
        return read_json(self.folder, TRAINED_FILE, _trained)

    def start_again(self) -> None:
        """Forget all training so far: what can't be relied on is not trained on."""
        for name in (TRAINED_FILE, MANIFEST_FILE, *reversed(LISTED_FILES)):
            self.folder.delete(name)

    @property
    def check_if_claimed(self) -> Callable[[], None] | None:
        """What a worker that has claimed the trial checks before it replaces a file; None without a claim."""
        return self.check if self._claim.is_taken else None

    @property
    def measurements(self) -> CheckedFolder:
        """The folder of the measurements, each in a folder named by its settings."""
        return self.folder / MEASUREMENTS_FOLDER

    @property
    def shifts(self) -> CheckedFolder:
        """The folder of the results under shifts."""
        return self.folder / SHIFTS_FOLDER

    def write_shift(self, name: str, result: ShiftedTest, weights: str = "") -> None:
        """Keep the result under a shift; `weights` is the SHA-256 of what was evaluated."""
        others = [f"{other}.json" for other in self.shift_names() if other != name]
        self.shifts.complete(f"{name}.json", {**asdict(result), INPUTS: {WEIGHTS: weights}}, others)

    def shift_names(self) -> list[str]:
        """The shifts under which the network has been evaluated, sorted."""
        others = (FAILED_FILE, MANIFEST_FILE)
        return [name.removesuffix(".json") for name in self.shifts.names() if name not in others]

    def read_shifts(self) -> dict[str, ShiftedTest]:
        """The result under each shift so far, by its name."""
        shifts = self.shifts
        return {name: read_json(shifts, f"{name}.json", _shifted) for name in self.shift_names()}

    def write_run_id(self, tracking: str, run_id: str) -> None:
        """Record the id of this trial's run at a tracking address."""
        write_json(self.folder, RUN_FILE, {"tracking": tracking, "run_id": run_id})

    def read_run_id(self, tracking: str) -> str | None:
        """The id of this trial's run at a tracking address, if it is recorded; a damaged record is none."""
        try:
            recorded = read_json(self.folder, RUN_FILE)
            return str(recorded["run_id"]) if recorded["tracking"] == tracking else None
        except (FileNotFoundError, DamagedError, KeyError):
            return None

    def _forget_results_of_other_weights(self, weights: str) -> None:
        """Remove the records of measurements and shifts that were made from other weights, so that they are redone."""
        if not weights:
            return
        shifts, measurements = self.shifts, self.measurements
        names = [f"{name}.json" for name in self.shift_names()]
        if any(_weights(shifts, name) != weights for name in names):
            for name in (*names, MANIFEST_FILE):
                shifts.delete(name)
        for measurement in measurements.names():
            folder = measurements / measurement
            for name in folder.names():
                if name.endswith(MEASURED_FILE) and _weights(folder, name) != weights:  # also of parts
                    folder.delete(name)
                    folder.delete(MANIFEST_FILE)


def write_json(folder: Folder, name: str, data: dict[str, Any], check: Callable[[], None] | None = None) -> None:
    """Write a small file that people can read, with a seal by which damage is seen; `check` as in `Folder.write`."""
    folder.write(name, sealed_json(place_of(folder, name), data), check)


@overload
def read_json(folder: Folder, name: str) -> dict[str, Any]: ...
@overload
def read_json(folder: Folder, name: str, make: Callable[[dict[str, Any]], T]) -> T: ...
def read_json(folder: Folder, name: str, make: Callable[[dict[str, Any]], Any] = dict) -> Any:
    """What `make` makes of the content of such a file.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it is not what was written, or its manifest is gone.
    """

    def parse(data: bytes) -> Any:
        content = unsealed_json(place_of(folder, name), data)
        if content.pop(LISTED_IN, None) and isinstance(folder, CheckedFolder) and not folder.lists(name):
            raise damaged(folder, MANIFEST_FILE, f"is missing, or has no {name}")
        return make(content)

    return parsed(folder, name, folder.read(name), parse)


def write_failure(folder: Folder, failure: Failure, check: Callable[[], None] | None = None) -> None:
    """Mark the training or the measurement in a folder as failed; `check` as in `Folder.write`."""
    write_json(folder, FAILED_FILE, asdict(failure), check)


def read_failure(folder: Folder) -> Failure:
    """Why the training or the measurement in a folder failed; FileNotFoundError if it did not fail.

    If the reason can't be read, that is the reason: the failure can still be retried.
    """
    try:
        return read_json(folder, FAILED_FILE, lambda content: Failure(**content))
    except DamagedError as error:
        return Failure("an unknown step", str(error))


def _weights(folder: Folder, record: str) -> str | None:
    """The weights that a record says it was made from; None if it does not say."""
    try:
        return read_json(folder, record, lambda content: str(content[INPUTS][WEIGHTS]))
    except (FileNotFoundError, DamagedError):
        return None


def _versions(content: dict[str, Any]) -> list[Code]:
    return [Code.of_json(each) for each in content["versions"]]


def _trained(content: dict[str, Any]) -> Trained:
    history = [EpochMetrics(**epoch) for epoch in content["history"]]
    return Trained(history, Generalization(**content["generalization"]), content.get("weights", ""))


def _shifted(content: dict[str, Any]) -> ShiftedTest:
    return ShiftedTest(**{each.name: content[each.name] for each in fields(ShiftedTest)})
