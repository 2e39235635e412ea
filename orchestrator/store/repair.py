"""Removing what is damaged, so that exactly that is made again by the next run."""

from collections.abc import Iterable

from orchestrator.store.measurement import PART
from orchestrator.store.verify import Damage
from trainables.trial.folder import (
    BEST_CHECKPOINT,
    CODE_FILE,
    FAILED_FILE,
    LAST_CHECKPOINT,
    MEASUREMENTS_FOLDER,
    SHIFTS_FOLDER,
    TRAINED_FILE,
)
from trainables.trial.manifest import MANIFEST_FILE, NOTES, TRIALS_FOLDER, checked
from trainables.trial.storage import Folder

OF_ALL_EPOCHS = (LAST_CHECKPOINT, BEST_CHECKPOINT, CODE_FILE)  # only training from its beginning makes them


def remove(folder: Folder, damages: Iterable[Damage]) -> list[str]:
    """Remove damaged files of a sweep, and the marks that say that their steps are done.

    - A checkpoint, or the record of the code that trained it: the trial is trained again. If that gives the same
      weights, as on a CPU it does, its measurements stay; else they are made again (`TrialFolder.write_trained`).
    - Another file of training: the trial is evaluated again from its last checkpoint.
    - A file of a measurement: that measurement is made again. Of one of its parts: that part.
    - A result under a shift: that evaluation is done again; the manifest of them: all of them.
    - A file that records what a process is doing, a reason, a report: it is written again when there is an occasion.

    Returns:
        The ids of the trials that lack something now.
    """
    trial_ids = []
    for damage in damages:
        first, *rest = damage.path.split("/")
        if first != TRIALS_FOLDER:
            _remove(folder, damage.path)
            continue
        trial_id, *inside = rest
        trial = folder / TRIALS_FOLDER / trial_id
        trial_ids.append(trial_id)
        match inside:
            case [str(name)]:
                _of_training(trial, name)
            case [str(kind), str(measurement), str(name)] if kind == MEASUREMENTS_FOLDER:
                _of_measurement(trial / MEASUREMENTS_FOLDER / measurement, name)
            case [str(kind), str(name)] if kind == SHIFTS_FOLDER:
                _of_shifts(trial / SHIFTS_FOLDER, trial_id, name)
    return list(dict.fromkeys(trial_ids))


def _of_training(trial: Folder, name: str) -> None:
    measurements = (trial / MEASUREMENTS_FOLDER).names()
    trial.delete(name)
    if name in NOTES:
        return
    for folder in (trial, trial / SHIFTS_FOLDER, *(trial / MEASUREMENTS_FOLDER / each for each in measurements)):
        folder.delete(FAILED_FILE)  # this may be why
    for other in (TRAINED_FILE, MANIFEST_FILE, *(OF_ALL_EPOCHS if name in OF_ALL_EPOCHS else ())):
        trial.delete(other)


def _of_measurement(folder: Folder, name: str) -> None:
    if name == FAILED_FILE:
        folder.delete(name)
    elif name.startswith(PART):
        part = name.rpartition("-")[0]
        for other in folder.names():
            if other.startswith(f"{part}-"):
                folder.delete(other)
    else:
        for other in folder.names():
            folder.delete(other)


def _of_shifts(folder: Folder, trial_id: str, name: str) -> None:
    folder.delete(name)
    folder.delete(FAILED_FILE)
    shifts = checked(folder, f"{trial_id}/{SHIFTS_FOLDER}")
    if name == MANIFEST_FILE:
        for other in folder.names():
            folder.delete(other)
    elif name != FAILED_FILE:
        shifts.unlist(name)


def _remove(folder: Folder, path: str) -> None:
    """Remove a file by its path; of a report, its manifest too."""
    *folders, name = path.split("/")
    for each in folders:
        folder = folder / each
    folder.delete(name)
    if folders:
        folder.delete(MANIFEST_FILE)
