"""What happens while a sweep runs, as values that every executor yields and every observer reads."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from trainables.specs import TrialSpec
from trainables.trial_folder import EpochMetrics


@dataclass(frozen=True)
class EpochsDone:
    """Epochs of a trial that are done and in its checkpoint."""

    trial_id: str
    epochs: list[EpochMetrics]


@dataclass(frozen=True)
class TrialTrained:
    """A trial's last checkpoint is final."""

    trial_id: str


@dataclass(frozen=True)
class TrialMeasured:
    """A trial's measurements are in the store."""

    trial_id: str


@dataclass(frozen=True)
class TrialFailed:
    """A trial's failure is recorded in the store."""

    trial_id: str


Event = EpochsDone | TrialTrained | TrialMeasured | TrialFailed


@dataclass(frozen=True)
class Work:
    """What a sweep still lacks."""

    to_train: list[TrialSpec] = field(default_factory=list)
    to_measure: list[TrialSpec] = field(default_factory=list)  # trained already


class Executor(Protocol):
    """A way of getting work done: in this process, or on a Ray cluster."""

    def run(self, work: Work) -> Iterator[Event]:
        """Train and measure, yielding what happens as it happens; every result is in the store before its event."""
