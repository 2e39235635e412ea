"""Placing the pool of measuring actors: whether it fits on a cluster beside the trials, and on which nodes."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from orchestrator.config.sweep_config import ProcessResources, Resources
from orchestrator.errors import UsageError

_EPS = 1e-9  # fractions of a core add up inexactly


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, or one that its autoscaler could add."""

    node_id: str  # empty for a machine that has not been added yet
    cpus: float
    gpus: float

    def holds(self, process: ProcessResources) -> bool:
        """Whether a process fits into the free resources."""
        return process.cpus <= self.cpus + _EPS and process.gpus <= self.gpus + _EPS

    def without(self, process: ProcessResources) -> "Node":
        """The node without the resources of a process."""
        return replace(self, cpus=self.cpus - process.cpus, gpus=self.gpus - process.gpus)

    def room(self, process: ProcessResources) -> int:
        """How many such processes fit side by side."""
        by_cpus = int((self.cpus + _EPS) / process.cpus)
        return min(by_cpus, int((self.gpus + _EPS) / process.gpus)) if process.gpus else by_cpus


def place_pool(resources: Resources, nodes: Sequence[Node]) -> list[str]:
    """The node of each actor, chosen so that as many trials as possible fit beside them, and at least one.

    Actors are placed one by one where they displace the fewest trials, then where most of what they need is free. If
    they were spread evenly, no node might have room for a trial, and the sweep would wait for ever.

    Raises:
        UsageError: they don't fit beside a trial; the message has the numbers asked for and those available.
    """
    pool, trial = resources.pool, resources.trial
    _check_totals(resources, nodes)
    free = dict(enumerate(nodes))
    placed = []
    for _ in range(pool.actors):
        room = sum(node.room(trial) for node in free.values())
        choices = [
            (
                room - free[index].room(trial) + after.room(trial),
                after.gpus if pool.gpus else -after.gpus,
                after.cpus,
                -index,
            )
            for index, node in free.items()
            if node.holds(pool)
            for after in [node.without(pool)]
        ]
        trials, _, _, best = max(choices, default=(0, 0.0, 0.0, 0))
        if not trials:
            raise UsageError(
                f"resources: {pool.actors} actors of {_size(pool)} and a trial of {_size(trial)} can't run side by "
                f"side on {_shapes(nodes)}: each must fit on one node. Lower resources.pool or resources.trial"
            )
        free[-best] = free[-best].without(pool)
        placed.append(nodes[-best].node_id)
    return placed


def place_largest_pool(resources: Resources, nodes: Sequence[Node]) -> list[str]:
    """The node of each actor, for as many actors as fit beside a trial; empty where not even one fits."""
    for actors in range(resources.pool.actors, 0, -1):
        smaller = resources.model_copy(update={"pool": resources.pool.model_copy(update={"actors": actors})})
        with suppress(UsageError):
            return place_pool(smaller, nodes)
    return []


def _check_totals(resources: Resources, nodes: Sequence[Node]) -> None:
    pool, trial = resources.pool, resources.trial
    problems = []
    for name, of_pool, of_trial, there in (
        ("CPUs", pool.actors * pool.cpus, trial.cpus, sum(node.cpus for node in nodes)),
        ("GPUs", pool.actors * pool.gpus, trial.gpus, sum(node.gpus for node in nodes)),
    ):
        if of_pool + of_trial > there + _EPS:
            problems.append(
                f"resources: the pool ({pool.actors} actors) takes {of_pool:g} {name} and a trial {of_trial:g}, "
                f"together {of_pool + of_trial:g}; the cluster has {there:g}. Lower resources.pool or resources.trial"
            )
    if problems:
        raise UsageError(*problems)


def _size(process: ProcessResources) -> str:
    return f"{process.cpus:g} CPUs, {process.gpus:g} GPUs"


def _shapes(nodes: Sequence[Node]) -> str:
    shapes = Counter(f"{node.cpus:g} CPUs, {node.gpus:g} GPUs" for node in nodes)
    return ", ".join(f"{count} × ({shape})" for shape, count in shapes.items())
