"""What fits on a node, and a pool of fixed size: whether it fits on a cluster beside the trials, and on which nodes."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from orchestrator.config.sweep_config import ProcessResources, Resources
from orchestrator.errors import UsageError

_EPS = 1e-9  # fractions of a core add up inexactly


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, or one that its autoscaler could add, with what is free of it.

    A process that uses a part of a GPU can't be spread over the rests of several, and Ray puts it where the least is
    left that suffices. So the sum of what is free does not say what fits; `parts` does.
    """

    node_id: str  # empty for a machine that has not been added yet
    cpus: float
    gpus: float  # the sum over all its GPUs
    parts: tuple[float, ...] = ()  # what is free of each GPU that is or was shared; all others are free as a whole

    def holds(self, process: ProcessResources) -> bool:
        """Whether a process fits into the free resources."""
        if process.cpus > self.cpus + _EPS:
            return False
        if process.gpus >= 1:
            return self._whole_gpus >= process.gpus
        return not process.gpus or self.part_for(process) is not None

    def part_for(self, process: ProcessResources) -> int | None:
        """The index of the part that a process gets if it shares a GPU, maybe a new one; None if there is none."""
        enough = [(free, part) for part, free in enumerate(self.parts) if free >= process.gpus - _EPS]
        if enough:
            return min(enough)[1]
        return len(self.parts) if self._unshared >= process.gpus - _EPS else None

    def without(self, process: ProcessResources, part: int | None = None) -> "Node":
        """The node without the resources of a process that it holds, on the part that it has, or that Ray gives it."""
        cpus, gpus, parts = self.cpus - process.cpus, self.gpus - process.gpus, self.parts
        if not process.gpus:
            return Node(self.node_id, cpus, gpus, parts)
        if process.gpus < 1:
            part = self.part_for(process) if part is None else part
            if part is None or part == len(parts):
                part, parts = len(parts), (*parts, min(1.0, self._unshared))
            return Node(self.node_id, cpus, gpus, _changed(parts, part, -process.gpus))
        lacking = process.gpus - int(self._unshared + _EPS)
        for index, free in enumerate(self.parts):
            if lacking > 0 and free >= 1 - _EPS:
                parts, lacking = _changed(parts, index, -free), lacking - 1
        return Node(self.node_id, cpus, gpus, parts)

    def after(self, process: ProcessResources, part: int | None) -> "Node":
        """The node after the end of a process that had the given part of a GPU, or whole ones or none."""
        parts = self.parts if part is None else _changed(self.parts, part, process.gpus)
        return Node(self.node_id, self.cpus + process.cpus, self.gpus + process.gpus, parts)

    def room(self, process: ProcessResources) -> int:
        """How many such processes fit side by side."""
        by_cpus = int((self.cpus + _EPS) / process.cpus)
        if not process.gpus:
            return by_cpus
        if process.gpus >= 1:
            return min(by_cpus, int(self._whole_gpus / process.gpus))
        whole, rest = divmod(self._unshared + _EPS, 1)
        free = [*self.parts, *[1.0] * int(whole), rest]
        return min(by_cpus, sum(int((part + _EPS) / process.gpus) for part in free))

    @property
    def _unshared(self) -> float:
        return self.gpus - sum(self.parts)

    @property
    def _whole_gpus(self) -> int:
        return int(self._unshared + _EPS) + sum(part >= 1 - _EPS for part in self.parts)


def _changed(parts: tuple[float, ...], index: int, amount: float) -> tuple[float, ...]:
    return (*parts[:index], parts[index] + amount, *parts[index + 1 :])


def check_fit(resources: Resources, nodes: Sequence[Node]) -> None:
    """Whether a sweep can run on these nodes: with a pool of fixed size beside a trial, else both after each other.

    Raises:
        UsageError: it can't; the message has the numbers asked for and those available.
    """
    if resources.pool.actors != "auto":
        place_pool(resources, nodes)
        return
    problems = [
        f"resources: {what} takes {_size(process)}; no node has room for that in {_shapes(nodes)}. Lower {key}"
        for what, key, process in (
            ("a trial", "resources.trial", resources.trial),
            ("a measuring actor", "resources.pool", resources.pool),
        )
        if not any(node.holds(process) for node in nodes)
    ]
    if problems:
        raise UsageError(*problems)


def place_pool(resources: Resources, nodes: Sequence[Node]) -> list[str]:
    """The node of each actor of a pool of fixed size, so that as many trials as possible fit beside, and at least one.

    Actors are placed one by one where they displace the fewest trials, then where most of what they need is free. If
    they were spread evenly, no node might have room for a trial, and the sweep would wait for ever.

    Raises:
        UsageError: they don't fit beside a trial; the message has the numbers asked for and those available.
    """
    pool, trial = resources.pool, resources.trial
    actors = _fixed_size(resources)
    _check_totals(resources, nodes)
    free = dict(enumerate(nodes))
    placed = []
    for _ in range(actors):
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
                f"resources: {actors} actors of {_size(pool)} and a trial of {_size(trial)} can't run side by "
                f"side on {_shapes(nodes)}: each must fit on one node. Lower resources.pool or resources.trial, or "
                "set resources.pool.actors to auto"
            )
        free[-best] = free[-best].without(pool)
        placed.append(nodes[-best].node_id)
    return placed


def place_largest_pool(resources: Resources, nodes: Sequence[Node]) -> list[str]:
    """The node of each actor, for as many actors as fit beside a trial; empty where not even one fits."""
    for actors in range(_fixed_size(resources), 0, -1):
        smaller = resources.model_copy(update={"pool": resources.pool.model_copy(update={"actors": actors})})
        with suppress(UsageError):
            return place_pool(smaller, nodes)
    return []


def _check_totals(resources: Resources, nodes: Sequence[Node]) -> None:
    pool, trial = resources.pool, resources.trial
    actors = _fixed_size(resources)
    problems = []
    for name, of_pool, of_trial, there in (
        ("CPUs", actors * pool.cpus, trial.cpus, sum(node.cpus for node in nodes)),
        ("GPUs", actors * pool.gpus, trial.gpus, sum(node.gpus for node in nodes)),
    ):
        if of_pool + of_trial > there + _EPS:
            problems.append(
                f"resources: the pool ({actors} actors) takes {of_pool:g} {name} and a trial {of_trial:g}, "
                f"together {of_pool + of_trial:g}; the cluster has {there:g}. Lower resources.pool or resources.trial, "
                "or set resources.pool.actors to auto"
            )
    if problems:
        raise UsageError(*problems)


def _fixed_size(resources: Resources) -> int:
    actors = resources.pool.actors
    assert actors != "auto", "a pool of no fixed size is not placed once and for all"
    return actors


def _size(process: ProcessResources) -> str:
    return f"{process.cpus:g} CPUs, {process.gpus:g} GPUs"


def _shapes(nodes: Sequence[Node]) -> str:
    shapes = Counter(f"{node.cpus:g} CPUs, {node.gpus:g} GPUs" for node in nodes)
    return ", ".join(f"{count} × ({shape})" for shape, count in shapes.items())
