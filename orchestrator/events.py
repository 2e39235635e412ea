"""What happens while a sweep runs, as values that every executor yields and every observer reads."""

from dataclasses import dataclass

from trainables.trial.folder import EpochMetrics


@dataclass(frozen=True)
class TrialStarted:
    """A node trains a trial, from the start or from its last checkpoint."""

    trial_id: str
    node: str  # the machine's name; where one machine holds several nodes, the start of the node's id too


@dataclass(frozen=True)
class TrialLost:
    """The process that trained a trial died, alone or with its node. The trial goes on from its last checkpoint."""

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
    node: str = ""  # that trained it; empty where it is not known


@dataclass(frozen=True)
class MeasuringStarted:
    """A node works on a task of a trial's measurement."""

    trial_id: str
    node: str
    task: str


@dataclass(frozen=True)
class MeasuringEnded:
    """A task of a trial's measurement is done, has failed, or was cut off and is queued again."""

    trial_id: str
    node: str
    task: str
    succeeded: bool


@dataclass(frozen=True)
class TrialMeasured:
    """A trial's measurements are in the store, and its evaluations under shifts."""

    trial_id: str


@dataclass(frozen=True)
class TrialFailed:
    """A trial's failure is recorded in the store."""

    trial_id: str
    node: str = ""  # on which it failed; empty where it is not known


@dataclass(frozen=True)
class NodeAvoided:
    """Different trials failed on a node in a row. It gets no more work, and they are tried again on other nodes."""

    node: str
    trial_ids: list[str]
    reason: str  # of the last failure


@dataclass(frozen=True)
class PoolResized:
    """Nodes were lost or came back. The pool now has as many actors as leave room for a trial."""

    actors: int


TrialEvent = EpochsDone | TrialTrained | TrialMeasured | TrialFailed  # what a trial's run in the tracking record shows
Event = TrialEvent | TrialStarted | TrialLost | MeasuringStarted | MeasuringEnded | NodeAvoided | PoolResized
