"""What is seen of a cluster and a sweep at one moment, as the decision about the pool's size needs it. Knows no Ray."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from orchestrator.config.sweep_config import ProcessResources, Resources
from orchestrator.executors.ray.placement import Node


class ActorState(StrEnum):
    """What an actor of the pool does."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"


@dataclass(frozen=True)
class Actor:
    """An actor of the pool."""

    key: int
    node_id: str  # empty while it waits for a machine that an autoscaler may add
    state: ActorState
    gpu: str | None = None  # the GPU that it shares, by its name on the node; None if that is not known, or it has none
    part: int | None = None  # the same as an index of the node's `parts`
    idle_seconds: float = 0.0
    gpus: float | None = None  # that it was started with, if more than every actor gets

    def size(self, pool: ProcessResources) -> ProcessResources:
        """What it takes."""
        return pool if self.gpus is None else with_gpus(pool, self.gpus)


@lru_cache
def with_gpus(process: ProcessResources, gpus: float) -> ProcessResources:
    """The process with another number of GPUs."""
    return ProcessResources(cpus=process.cpus, gpus=gpus)


@dataclass(frozen=True)
class Snapshot:
    """What was seen."""

    nodes: tuple[Node, ...]  # with what nobody uses; less than nothing where two were promised the same room
    trials: int  # that have no place yet
    tasks: int  # that wait for an actor
    actors: tuple[Actor, ...]
    task_seconds: float = 0.0  # expected, of all waiting tasks together; 0 where unknown
    stuck: bool = False  # whether trials have waited although there seemed to be room for one
    absent: int = 0  # how many actors fit on machines that an autoscaler may still add


@dataclass(frozen=True)
class Demand:
    """What of the sweep waits."""

    trials: int = 0
    tasks: int = 0
    task_seconds: float = 0.0


def survey(
    resources: Resources,
    nodes: Sequence[Node],
    unused: Mapping[str, tuple[float, float]],
    trials: Mapping[str, int],
    actors: Sequence[Actor],
    demand: Demand,
) -> Snapshot:
    """The snapshot, from what the cluster and the pool report.

    The trials and actors that are known are counted against the nodes' sizes, since the cluster's own figures lag
    behind; where these are lower, others use the rest.

    Args:
        resources: what a trial and an actor take.
        nodes: those that are up, with all that they have.
        unused: CPUs and GPUs that no process has, by node, as the cluster reports it.
        trials: how many are placed on each node.
        actors: those of the pool, without `part`.
        demand: what waits.
    """
    seen, placed = [], []
    for node in nodes:
        here = [actor for actor in actors if actor.node_id == node.node_id]
        left, here = _left(resources, node, unused.get(node.node_id), trials.get(node.node_id, 0), here)
        seen.append(left)
        placed += here
    known = {node.node_id for node in nodes}
    placed += [actor for actor in actors if actor.node_id not in known]
    return Snapshot(tuple(seen), demand.trials, demand.tasks, tuple(placed), demand.task_seconds)


def _left(
    resources: Resources, node: Node, unused: tuple[float, float] | None, trials: int, actors: Sequence[Actor]
) -> tuple[Node, list[Actor]]:
    trial, pool = resources.trial, resources.pool
    sizes = {actor.key: actor.size(pool) for actor in actors}
    cpus = node.cpus - trials * trial.cpus - len(actors) * pool.cpus
    gpus = node.gpus - trials * trial.gpus - sum(size.gpus for size in sizes.values())
    if unused is not None:
        cpus, gpus = min(cpus, unused[0]), min(gpus, unused[1])
    sharing = [actor for actor in actors if 0 < sizes[actor.key].gpus < 1]
    if not sharing:
        return Node(node.node_id, cpus, gpus), list(actors)
    used: dict[str, float] = {}
    for actor in sharing:
        if actor.gpu is not None:
            used[actor.gpu] = used.get(actor.gpu, 0.0) + sizes[actor.key].gpus
    unknown = [actor for actor in sharing if actor.gpu is None]  # counted one by one below
    left = Node(node.node_id, cpus, gpus + sum(sizes[actor.key].gpus for actor in unknown))
    for taken in used.values():
        part = max(0.0, min(1 - taken, left.gpus - sum(left.parts)))
        left = replace(left, parts=(*left.parts, part))
    names = list(used)
    placed = [replace(actor, part=names.index(actor.gpu)) for actor in sharing if actor.gpu is not None]
    for actor in unknown:
        chosen = left.part_for(sizes[actor.key])
        left = replace(left.without(sizes[actor.key], chosen), cpus=cpus)
        placed.append(replace(actor, part=chosen if chosen is not None else len(left.parts) - 1))
    return left, [*placed, *(actor for actor in actors if actor not in sharing)]
