"""What happens while a sweep runs, as values that every executor yields and every observer reads."""

from dataclasses import dataclass

from trainables.trial.folder import EpochMetrics


@dataclass(frozen=True)
class TrialStarted:
    """A trial is being trained somewhere, from the start or from its last checkpoint."""

    trial_id: str
    node: str  # the machine's name, and where one machine holds several nodes the node's too


@dataclass(frozen=True)
class TrialLost:
    """The process that trained a trial ended unasked, with its node or alone: it goes on from its last checkpoint."""

    trial_id: str
    node: str


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
class MeasuringStarted:
    """A task of a trial's measurement is being worked on somewhere."""

    trial_id: str
    node: str
    task: str


@dataclass(frozen=True)
class MeasuringEnded:
    """A task of a trial's measurement is done, or has failed."""

    trial_id: str
    task: str


@dataclass(frozen=True)
class TrialMeasured:
    """A trial's measurements are in the store."""

    trial_id: str


@dataclass(frozen=True)
class TrialFailed:
    """A trial's failure is recorded in the store."""

    trial_id: str


@dataclass(frozen=True)
class NodeAvoided:
    """Different trials failed on a node in a row: it gets no more work, and they are tried again elsewhere."""

    node: str
    trial_ids: list[str]
    reason: str  # of the last failure


@dataclass(frozen=True)
class PoolResized:
    """Nodes were lost, or came back, and the pool has as many actors now as leave room for a trial."""

    actors: int


TrialEvent = EpochsDone | TrialTrained | TrialMeasured | TrialFailed  # what there is to record of a trial
Event = TrialEvent | TrialStarted | TrialLost | MeasuringStarted | MeasuringEnded | NodeAvoided | PoolResized
