"""What lies in a sweep's folder: the files of each trial, whether its file still asks for it or not."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestrator.store.plan import Plan
from orchestrator.store.trial_store import MEASURED_FILE, MEASUREMENTS_FOLDER, TRIALS_FOLDER, TrialState, state_of
from trainables.errors import DamagedError
from trainables.trial.folder import SHIFTS_FOLDER, read_json, write_json
from trainables.trial.storage import Folder, StoredFile

INDEX_FILE = "sweep.json"


@dataclass(frozen=True)
class Index:
    """What a sweep's file asked for when it was last run."""

    trials: tuple[str, ...]  # ids
    measurement_id: str
    shifts: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredTrial:
    """The files of one trial, by their path in its folder."""

    files: dict[str, StoredFile] = field(default_factory=dict)

    @property
    def measurements(self) -> set[str]:
        """The ids of its measurements, complete or not."""
        return {path.split("/")[1] for path in self.files if path.startswith(f"{MEASUREMENTS_FOLDER}/")}

    def below(self, folder: str) -> list[StoredFile]:
        """The files in one of its folders, those in the folders inside included."""
        return [file for path, file in self.files.items() if path.startswith(f"{folder}/")]

    def state(self, index: Index | None) -> TrialState:
        """Its state; without an index it is measured if it has any complete measurement."""
        names = {path.split("/")[0] for path in self.files}
        complete = [each for each in self.measurements if self._has(each, MEASURED_FILE)]
        wanted = index.measurement_id if index is not None else next(iter([*complete, *self.measurements]), "")
        return state_of(
            names,
            lambda: self._names(f"{MEASUREMENTS_FOLDER}/{wanted}"),
            lambda: self._names(SHIFTS_FOLDER),
            index.shifts if index is not None else (),
        )

    def _has(self, measurement: str, name: str) -> bool:
        return f"{MEASUREMENTS_FOLDER}/{measurement}/{name}" in self.files

    def _names(self, folder: str) -> set[str]:
        return {path.removeprefix(f"{folder}/") for path in self.files if path.startswith(f"{folder}/")}


@dataclass(frozen=True)
class Inventory:
    """All files of a sweep's folder."""

    trials: dict[str, StoredTrial]
    files: list[StoredFile]
    index: Index | None  # None: no version that writes one has run the sweep

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(file.size for file in self.files)

    @property
    def counts(self) -> Counter[TrialState]:
        """How many of the trials that the file last asked for are in each state; without an index, of those there."""
        ids: Iterable[str] = self.trials if self.index is None else self.index.trials
        return Counter(self.trials.get(each, StoredTrial()).state(self.index) for each in ids)

    @property
    def others(self) -> int:
        """How many trials are there that the file no longer asked for when it was last run."""
        return 0 if self.index is None else len(set(self.trials) - set(self.index.trials))


def take_inventory(folder: Folder) -> Inventory:
    """List all files of a sweep's folder. Cost: one listing of the whole tree, and a read of a small file."""
    files = folder.tree()
    trials: dict[str, dict[str, StoredFile]] = defaultdict(dict)
    for file in files:
        top, _, rest = file.path.partition("/")
        trial, _, inside = rest.partition("/")
        if top == TRIALS_FOLDER and inside:
            trials[trial][inside] = file
    found = {trial: StoredTrial(inside) for trial, inside in sorted(trials.items())}
    return Inventory(found, files, read_index(folder) if any(file.path == INDEX_FILE for file in files) else None)


def write_index(plan: Plan) -> None:
    """Record what the sweep's file asks for, for `renyi list`, which has no sweep file."""
    content = {
        "trials": list(plan.states),
        "measurement_id": plan.store.measurement_id,
        "shifts": list(plan.store.shifts),
    }
    write_json(plan.store.folder, INDEX_FILE, content)


def read_index(folder: Folder) -> Index | None:
    """What the sweep's file asked for when it was last run; None if that is not recorded, or can't be read."""
    try:
        content = read_json(folder, INDEX_FILE)
        return Index(tuple(content["trials"]), str(content["measurement_id"]), tuple(content["shifts"]))
    except (FileNotFoundError, DamagedError, KeyError, TypeError):
        return None
