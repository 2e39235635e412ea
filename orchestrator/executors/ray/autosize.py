"""The size of a pool without a fixed one, decided from what Ray reports of the cluster."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from orchestrator.config.sweep_config import Resources
from orchestrator.executors.ray.nodes import placed_trials, possible_nodes, present_nodes, unused
from orchestrator.executors.ray.sizing import Decision, decide
from orchestrator.executors.ray.snapshot import Actor, Demand, survey
from orchestrator.executors.ray.tuner import Tuning, bundle_of

PATIENCE = 10.0  # seconds that trials may wait beside what seems to be room for one


@dataclass
class AutoSize:
    """Takes snapshots of the cluster, and decides."""

    resources: Resources
    avoided: Collection[str] = ()
    tuning: Tuning | None = None  # whose trials wait
    _seemed_free_since: float | None = None
    _placed: int = 0

    def __call__(self, actors: Sequence[Actor], demand: Demand) -> Decision:
        """Which actors to start, and which to give back."""
        free = unused()  # before the trials: what was placed in between is then counted, once
        trials = placed_trials(bundle_of(self.resources.trial))
        untrained = self.tuning.untrained if self.tuning is not None else 0
        at_once = self.resources.max_concurrent or untrained
        waiting = max(0, min(untrained, at_once) - trials.total())
        nodes = present_nodes(self.avoided)
        demand = replace(demand, trials=waiting)
        seen = survey(self.resources, nodes, free, trials, actors, demand)
        there_is_room = waiting > 0 and any(node.holds(self.resources.trial) for node in seen.nodes)
        seen = replace(seen, stuck=self._stuck(there_is_room, trials.total()), absent=self._absent(demand))
        return decide(self.resources, seen)

    def _stuck(self, there_is_room: bool, placed: int) -> bool:
        """Whether trials have waited for long beside room that is none: other programs', or rests of several GPUs."""
        if not there_is_room or placed > self._placed:
            self._seemed_free_since = None
        elif self._seemed_free_since is None:
            self._seemed_free_since = time.monotonic()
        self._placed = placed
        return self._seemed_free_since is not None and time.monotonic() - self._seemed_free_since > PATIENCE

    def _absent(self, demand: Demand) -> int:
        """How many actors fit on machines that an autoscaler may add; asked only where that can matter."""
        if demand.trials or not demand.tasks:
            return 0
        possible = possible_nodes()
        present = present_nodes()  # those to be avoided too: they are not absent
        if possible is None:
            return demand.tasks
        if possible == present:
            return 0
        most, here = (sum(node.room(self.resources.pool) for node in nodes) for nodes in (possible, present))
        return max(0, most - here)
