"""What each node is doing: a small file beside the trials that the driver keeps up to date, for anyone to read."""

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from orchestrator.events import (
    EpochsDone,
    Event,
    MeasuringEnded,
    MeasuringStarted,
    NodeAvoided,
    TrialFailed,
    TrialLost,
    TrialMeasured,
    TrialStarted,
    TrialTrained,
)
from trainables.trial.folder import read_json, write_json
from trainables.trial.storage import Folder

ACTIVITY_FILE = "activity.json"
SECONDS_BETWEEN_WRITES = 2.0


@dataclass
class NodeActivity:
    """What one node is doing now, and what it has done since the driver started."""

    training: dict[str, int] = field(default_factory=dict)  # trial → epochs that are done
    measuring: list[str] = field(default_factory=list)  # trial and task
    trained: int = 0  # trials
    measured: int = 0  # tasks
    failed: int = 0  # trials, in training
    avoided: str | None = None  # why the node gets no more work; None if it is not avoided


@dataclass
class Activity:
    """The work of all nodes of a sweep at one moment, as its driver knows it."""

    started: float = field(default_factory=time.time)  # Unix time
    updated: float = 0.0  # Unix time of the last event
    measured: int = 0  # trials since it started
    nodes: dict[str, NodeActivity] = field(default_factory=dict)

    def seconds_left(self, trials: int) -> float | None:
        """How many seconds this many trials take at the present rate; None before the first trial is measured."""
        return (self.updated - self.started) / self.measured * trials if self.measured else None

    def update(self, event: Event) -> None:
        """Include what has just happened."""
        self.updated = time.time()
        match event:
            case TrialStarted(trial_id=trial_id, node=node):
                self._leave(trial_id)
                self._node(node).training[trial_id] = 0
            case TrialLost(trial_id=trial_id):
                self._leave(trial_id)
            case EpochsDone(trial_id=trial_id, epochs=epochs):
                for each in self.nodes.values():
                    if trial_id in each.training:
                        each.training[trial_id] = epochs[-1].epoch + 1
            case TrialTrained(trial_id=trial_id):
                for each in self._leave(trial_id):
                    each.trained += 1
            case TrialFailed(trial_id=trial_id):
                for each in self._leave(trial_id):
                    each.failed += 1
            case MeasuringStarted(trial_id=trial_id, node=node, task=task):
                self._node(node).measuring.append(f"{trial_id} {task}")
            case MeasuringEnded(trial_id=trial_id, task=task):
                for each in self.nodes.values():
                    if f"{trial_id} {task}" in each.measuring:
                        each.measuring.remove(f"{trial_id} {task}")
                        each.measured += 1
            case TrialMeasured():
                self.measured += 1
            case NodeAvoided(node=node, trial_ids=trial_ids, reason=reason):
                each = self._node(node)
                each.training, each.measuring = {}, []
                each.avoided = f"{len(trial_ids)} trials failed on it in a row, the last with: {reason}"

    def _node(self, name: str) -> NodeActivity:
        return self.nodes.setdefault(name, NodeActivity())

    def _leave(self, trial_id: str) -> list[NodeActivity]:
        """Remove a trial from training; the nodes that trained it, at most one."""
        nodes = [each for each in self.nodes.values() if trial_id in each.training]
        for each in nodes:
            del each.training[trial_id]
        return nodes


class ActivityFile:
    """Keeps the file up to date while entered; writes it every few seconds at most."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._activity = Activity()
        self._written = 0.0

    def __enter__(self) -> "ActivityFile":
        self._activity.updated = time.time()
        self._write()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self._activity.nodes.values():
            node.training, node.measuring = {}, []
        self._write()

    def record(self, event: Event) -> None:
        """Include what has just happened."""
        self._activity.update(event)
        if time.monotonic() - self._written > SECONDS_BETWEEN_WRITES or isinstance(event, NodeAvoided):
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        write_json(self._folder, ACTIVITY_FILE, asdict(self._activity))


def read_activity(folder: Folder) -> Activity | None:
    """The activity that the last driver of a sweep wrote into its folder; None if there was no driver.

    Raises:
        DamagedError: the file is not what was written.
    """
    try:
        return read_json(folder, ACTIVITY_FILE, _from_json)
    except FileNotFoundError:
        return None


def _from_json(content: dict[str, Any]) -> Activity:
    nodes = {name: NodeActivity(**node) for name, node in content.pop("nodes").items()}
    return Activity(**content, nodes=nodes)
