"""What can be removed from a sweep's folder, and how: so that a kill in the middle leaves nothing that is misread."""

import time
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.store.inventory import Inventory, StoredTrial, take_inventory
from orchestrator.store.plan import Plan
from orchestrator.store.trial_store import MEASURED_FILE, MEASUREMENTS_FOLDER, TrialState, TrialStore
from trainables.trial.folder import (
    BEST_CHECKPOINT,
    CLEANED_FILE,
    INITIAL_CHECKPOINT,
    LAST_CHECKPOINT,
    TRAINED_FILE,
    write_json,
)

CHECKPOINTS = (LAST_CHECKPOINT, INITIAL_CHECKPOINT, BEST_CHECKPOINT)


class Kind(StrEnum):
    """What is removed together."""

    CHECKPOINTS = "checkpoints"  # of trials that are measured, and evaluated under every shift that the file asks for
    OTHER_TRIALS = "other-trials"  # that the file does not ask for
    OLD_MEASUREMENTS = "old-measurements"  # with other settings than the file's, of trials that are measured with these


@dataclass(frozen=True)
class Removal:
    """What one kind would remove."""

    kind: Kind
    items: tuple[tuple[str, str], ...]  # trial's id, and the id of the measurement or ""
    trials: int
    size: int  # bytes


def removals(plan: Plan) -> list[Removal]:
    """What could be removed of each kind. Cost: one listing of the sweep's whole folder."""
    found = take_inventory(plan.store.folder)
    measured = [
        trial_id
        for trial_id, state in plan.states.items()
        if state is TrialState.MEASURED and not plan.missing_shifts[trial_id] and trial_id in found.trials
    ]
    old = [
        (trial_id, each)
        for trial_id in measured
        for each in sorted(found.trials[trial_id].measurements - {plan.store.measurement_id})
    ]
    return [
        _removal(Kind.CHECKPOINTS, found, [(each, "") for each in measured if _checkpoints(found.trials[each])]),
        _removal(Kind.OTHER_TRIALS, found, [(each, "") for each in found.trials if each not in plan.states]),
        _removal(Kind.OLD_MEASUREMENTS, found, old),
    ]


def remove(store: TrialStore, removal: Removal) -> None:
    """Remove what a removal names. The caller holds the lease on the sweep.

    Whatever was removed when the process is killed, each trial's state says no more than what is left of it, and the
    same call removes the rest.
    """
    for trial_id, measurement in removal.items:
        trial = store.trial(trial_id).folder
        match removal.kind:
            case Kind.CHECKPOINTS:
                write_json(trial, CLEANED_FILE, {"timestamp": time.time()})
                for name in CHECKPOINTS:
                    trial.delete(name)
            case Kind.OLD_MEASUREMENTS:
                _remove_measurement(store, trial_id, measurement)
            case Kind.OTHER_TRIALS:
                for each in (trial / MEASUREMENTS_FOLDER).names():
                    _remove_measurement(store, trial_id, each)
                write_json(trial, CLEANED_FILE, {"timestamp": time.time()})
                trial.delete(LAST_CHECKPOINT)  # before the next file, without which training would go on from it
                trial.delete(TRAINED_FILE)
                trial.remove()


def _remove_measurement(store: TrialStore, trial_id: str, measurement: str) -> None:
    folder = store.trial(trial_id).folder / MEASUREMENTS_FOLDER / measurement
    folder.delete(MEASURED_FILE)  # first: it says that the others are complete
    folder.remove()


def _checkpoints(trial: StoredTrial) -> list[str]:
    return [name for name in CHECKPOINTS if name in trial.files]


def _removal(kind: Kind, found: Inventory, items: list[tuple[str, str]]) -> Removal:
    size = 0
    for trial_id, measurement in items:
        trial = found.trials[trial_id]
        match kind:
            case Kind.CHECKPOINTS:
                files = [trial.files[name] for name in _checkpoints(trial)]
            case Kind.OLD_MEASUREMENTS:
                files = trial.below(f"{MEASUREMENTS_FOLDER}/{measurement}")
            case Kind.OTHER_TRIALS:
                files = list(trial.files.values())
        size += sum(file.size for file in files)
    return Removal(kind, tuple(items), len({trial_id for trial_id, _ in items}), size)
