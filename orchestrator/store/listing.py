"""Every sweep of a storage, from its files alone."""

from dataclasses import asdict, dataclass, field
from typing import Any

from orchestrator.store.inventory import take_inventory
from orchestrator.store.lease import DRIVER_FOLDER, current_driver
from orchestrator.store.trial_store import TRIALS_FOLDER, TrialState
from trainables.trial.storage import Folder

ARTIFACTS = "mlartifacts"  # MLflow's, beside the sweeps


@dataclass(frozen=True)
class ListedSweep:
    """What is known of a sweep without its file."""

    name: str
    place: str  # its folder, or the address of its experiment
    states: dict[str, int] = field(default_factory=dict)  # number of trials in each state
    others: int = 0  # trials that the file no longer asked for when it was last run
    started: float | None = None  # Unix time of the first file, or of the first run's start
    last: float | None = None  # Unix time of the last write, or of the last run's end
    size: int | None = None  # bytes; None where it is not known
    running: bool = False

    @property
    def trials(self) -> int:
        """The number of trials, without the others."""
        return sum(self.states.values())

    def to_json(self) -> dict[str, Any]:
        """The same, for programs."""
        return asdict(self)


def list_sweeps(storage: Folder) -> list[ListedSweep]:
    """The sweeps in a storage folder, sorted by name. Cost: a listing of all their files.

    The driver's own files are left out of the dates: they are written while nothing is done.
    """
    return [_listed(storage / name, name) for name in storage.folders() if _is_sweep(storage / name)]


def _is_sweep(folder: Folder) -> bool:
    return bool({TRIALS_FOLDER, DRIVER_FOLDER} & set(folder.names()))


def _listed(folder: Folder, name: str) -> ListedSweep:
    found = take_inventory(folder)
    driver = current_driver(folder)
    times = [file.written for file in found.files if not file.path.startswith(f"{DRIVER_FOLDER}/")]
    return ListedSweep(
        name,
        folder.uri,
        {state.value: found.counts[state] for state in TrialState},
        found.others,
        min(times, default=None),
        max(times, default=None),
        found.size,
        driver is not None and driver.is_at_work,
    )
