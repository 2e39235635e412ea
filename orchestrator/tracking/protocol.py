"""What every tracker is: the one way in which a sweep's record is kept for people to look at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from orchestrator.events import TrialEvent
from orchestrator.store.trial_store import TrialState


class Stopped(Enum):
    """Why a sweep ended early."""

    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True)
class LoggedReport:
    """What of a report is kept with the sweep."""

    files: Mapping[str, bytes]
    note: str  # the verdict, in Markdown
    tau: Mapping[str, float] | None = None  # with the gap in loss, by the name of a metric; None: of another target


class Tracker(Protocol):
    """Brings a record (MLflow, for example) to the state of the trial store, without making the sweep wait for it.

    The store is the truth. What the record lacks is found by comparing the two, so a tracker keeps nothing of its own
    on disk, and a later one logs what an earlier one could not.
    """

    def reconcile(self, states: Mapping[str, TrialState], progress: Callable[[str], None]) -> None:
        """Log every trial whose record shows less than the store; `progress` gets the id of each; returns at once."""

    def record(self, event: TrialEvent) -> None:
        """Log what has just happened; returns at once.

        Raises:
            StorageError: an earlier write failed, and the record was not the cause.
            DefectError: an earlier write failed by a mistake in a program, which no repetition mends.
        """

    def log_report(self, report: LoggedReport) -> None:
        """Keep a report with the sweep: its files, its verdict as the description, its τ; returns at once."""

    def wait(self) -> int:
        """Wait until everything is logged, or until nothing has been for a while; how many writes are still pending.

        Raises:
            StorageError, DefectError: as `record`.
        """

    def finish(self, stopped: Stopped | None = None) -> int:
        """Close the record of the sweep, and wait for all of it; how many writes are still pending.

        Args:
            stopped: why the sweep ended early, if it did; the runs of trials that were cut off are closed too.

        Raises:
            StorageError, DefectError: as `record`. Not raised for a sweep that ended early, since that has an error or
                an exit code of its own; an interrupted one counts the write as pending.
        """

    @property
    def trouble(self) -> str:
        """Why the last write failed; empty if it succeeded."""
