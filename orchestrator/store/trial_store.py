"""The trial store: a folder for each trial, whose files define what is done. Every step ends with one atomic write."""

import os
from collections.abc import Callable, Collection
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

from orchestrator.errors import UsageError
from trainables.trial.folder import (
    CLEANED_FILE,
    FAILED_FILE,
    LAST_CHECKPOINT,
    SHIFTS_FOLDER,
    TRAINED_FILE,
    Failure,
    TrialFolder,
    read_failure,
    read_json,
    write_json,
)
from trainables.trial.folder import MEASURED_FILE as MEASURED_FILE
from trainables.trial.folder import MEASUREMENTS_FOLDER as MEASUREMENTS_FOLDER
from trainables.trial.machine import THIS_MACHINE, Machine
from trainables.trial.manifest import TRIALS_FOLDER as TRIALS_FOLDER
from trainables.trial.manifest import CheckedFolder
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import Folder, LocalFolder, is_remote, open_folder

LAYOUT_FILE = "layout.json"
LAYOUT = 1  # increased by a change that makes older versions of this package misread the folder


class TrialState(StrEnum):
    """How far a trial is. The files in its folder define the state, so the two can't contradict each other."""

    PENDING = "pending"  # nothing done yet
    TRAINING = "training"  # has a checkpoint from which training can go on
    TRAINED = "trained"  # its last checkpoint is final
    MEASURED = "measured"  # has the measurements with the sweep's settings
    FAILED = "failed"  # training, measuring or an evaluation under a shift raised; the reason is recorded


def state_of(
    files: Collection[str],
    measured: Callable[[], Collection[str]],
    shifted: Callable[[], Collection[str]],
    shifts: Collection[str],
) -> TrialState:
    """The state of a trial, from the names of its files.

    A trial without its checkpoints has failed where something is wanted of it that needs them.

    Args:
        files: in its folder.
        measured: lists the folder of the measurement that is wanted; called if there may be one.
        shifted: lists the folder of its evaluations under shifts; the same.
        shifts: under which it is to be evaluated.
    """
    if FAILED_FILE in files:
        return TrialState.FAILED
    if TRAINED_FILE not in files:
        return TrialState.TRAINING if LAST_CHECKPOINT in files else TrialState.PENDING
    of_measurement = measured() if MEASUREMENTS_FOLDER in files else ()
    if MEASURED_FILE in of_measurement:
        evaluated = shifted() if shifts and SHIFTS_FOLDER in files else ()
        lacking = _is_cleaned(files) and any(f"{name}.json" not in evaluated for name in shifts)
        return TrialState.FAILED if FAILED_FILE in evaluated or lacking else TrialState.MEASURED
    return TrialState.FAILED if FAILED_FILE in of_measurement or _is_cleaned(files) else TrialState.TRAINED


def _is_cleaned(files: Collection[str]) -> bool:
    return CLEANED_FILE in files and LAST_CHECKPOINT not in files


class TrialStore:
    """The trials of one sweep, with their measurements for one set of settings, and the shifts that it asks for."""

    def __init__(
        self,
        folder: str | Folder,
        measurement_id: str,
        shifts: tuple[str, ...] = (),
        machine: Machine = THIS_MACHINE,
    ) -> None:
        self._machine = machine
        self.folder = open_folder(folder) if isinstance(folder, str) else folder
        self.measurement_id = measurement_id
        self.shifts = shifts

    def trial(self, trial_id: str) -> TrialFolder:
        """The folder of a trial; it need not exist."""
        return TrialFolder(self.folder / TRIALS_FOLDER / trial_id, trial_id, self._machine)

    def trial_ids(self) -> set[str]:
        """The trials that have a folder, whether or not a sweep's file still has them."""
        return set((self.folder / TRIALS_FOLDER).names())

    def measurement(self, trial_id: str) -> CheckedFolder:
        """The folder of a trial's measurements with the sweep's settings."""
        return self.trial(trial_id).measurements / self.measurement_id

    def state(self, trial_id: str) -> TrialState:
        """The state of a trial, from the names of its files."""
        return state_of(
            set(self.trial(trial_id).folder.names()),
            lambda: set(self.measurement(trial_id).names()),
            lambda: set(self.trial(trial_id).shifts.names()),
            self.shifts,
        )

    def is_cleaned(self, trial_id: str) -> bool:
        """Whether `renyi clean` has removed the trial's checkpoints."""
        return _is_cleaned(set(self.trial(trial_id).folder.names()))

    def states(self, specs: list[TrialSpec]) -> dict[str, TrialState]:
        """The state of every trial of a grid, by trial_id and in the grid's order.

        Raises:
            UsageError: a newer version of this package wrote the store.
        """
        self.check_layout()
        known = self.trial_ids()
        return {
            spec.trial_id: self.state(spec.trial_id) if spec.trial_id in known else TrialState.PENDING for spec in specs
        }

    def missing_shifts(self, trial_id: str) -> tuple[str, ...]:
        """The shifts that the sweep asks for and under which the trial has not been evaluated."""
        there = self.trial(trial_id).shift_names() if self.shifts else ()
        return tuple(shift for shift in self.shifts if shift not in there)

    def failure(self, trial_id: str) -> Failure:
        """Why a trial failed.

        Raises:
            FileNotFoundError: it did not fail.
        """
        for folder in self._folders(trial_id):
            if FAILED_FILE in folder.names():
                return read_failure(folder)
        if self.is_cleaned(trial_id):
            return Failure(
                "measuring",
                "`renyi clean` has removed its checkpoints, and what the sweep file asks for now needs them; to train "
                f"it again, remove its folder {self.trial(trial_id).folder.uri}",
            )
        raise FileNotFoundError(f"trial {trial_id} did not fail")

    def check_layout(self) -> None:
        """Refuse a store that a newer version of this package wrote in another layout.

        Raises:
            UsageError: the message names both versions and the remedy.
            DamagedError: the file that says so can't be read.
        """
        try:
            layout, by = read_json(
                self.folder, LAYOUT_FILE, lambda content: (int(content["layout"]), str(content["version"]))
            )
        except FileNotFoundError:  # a new store, or one of a version that did not write the file
            return
        if layout > LAYOUT:
            raise UsageError(
                f"{(self.folder / LAYOUT_FILE).uri}: layout: this store has layout {layout}, written by "
                f"renyi-sharpness {by}; version {version('renyi-sharpness')} here knows layouts up to "
                f"{LAYOUT}; install that version or a later one, or name another storage"
            )

    def mark_layout(self) -> None:
        """Record the layout of the store, for later versions of this package."""
        if LAYOUT_FILE not in self.folder.names():
            write_json(self.folder, LAYOUT_FILE, {"layout": LAYOUT, "version": version("renyi-sharpness")})

    def clear(self) -> None:
        """Remove what killed processes left unfinished anywhere in the sweep's folder; no other may write in it now.

        An object store holds nothing unfinished.
        """
        if is_remote(self.folder.uri):
            self.folder.clear()
            return
        for path, _, _ in os.walk(self.folder.uri):
            LocalFolder(Path(path)).clear()

    def forget_failure(self, trial_id: str) -> None:
        """Let a failed trial be tried again, from its last good step."""
        for folder in self._folders(trial_id):
            folder.delete(FAILED_FILE)

    def _folders(self, trial_id: str) -> tuple[Folder, ...]:
        """Where the failures of a trial's steps are recorded."""
        trial = self.trial(trial_id)
        return trial.folder, self.measurement(trial_id), trial.shifts
