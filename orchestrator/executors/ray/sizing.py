"""How large the pool of measuring actors should be now: which actors to start, and which to give back.

Trials come first. Whatever a waiting trial could use is kept free for it, or given back by actors as soon as their
present task is done. On what is left, and on all nodes once no trial waits, there are as many actors as tasks.

Total work over total capacity bounds the time of a sweep from below. No node is idle while tasks wait, and measuring is
made of many short tasks, so the order "training first" ends at most about one task later than that.

Nothing here knows Ray: the decision is a function of what was seen, and is simulated in the tests.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.config.sweep_config import ProcessResources, Resources
from orchestrator.executors.ray.placement import Node
from orchestrator.executors.ray.snapshot import Actor, ActorState, Snapshot, with_gpus

LONG_IDLE = 300.0  # seconds after which an actor without work is given back, so that an autoscaler can end its node
GPU_STEPS = 10_000  # Ray counts GPUs in steps of that part of one
NEW_NODE = 600.0  # seconds of measuring, for each present actor, that are worth the start of another node


@dataclass(frozen=True)
class Decision:
    """What to do about the pool."""

    start: tuple[str, ...] = ()  # the node of each new actor; empty for a machine that has to be added first
    give_back: frozenset[int] = frozenset()  # keys: busy actors after their task, all others at once
    gpus: float | None = None  # of each new actor, if more than `resources.pool` says
    longest_first: bool = False  # whether no trial waits, so that tasks fill the whole cluster


def decide(resources: Resources, seen: Snapshot) -> Decision:
    """The actors to start and to give back, so that trials get what they wait for and nothing else is idle.

    Cost: O(nodes + actors) for each waiting trial that has or could have room, and O(nodes) for each new actor.
    """
    trial, actor = resources.trial, resources.pool
    free = {node.node_id: node for node in seen.nodes}
    stranded = [each for each in seen.actors if _is_stranded(each, free)]
    staying = {each.key: each for each in seen.actors if each not in stranded}
    for each in stranded:
        if each.node_id in free:
            free[each.node_id] = free[each.node_id].after(each.size(actor), each.part)
    waiting_for: set[str] = set()  # nodes on which a task has to end before a trial can start
    for number in range(seen.trials):
        leaving: tuple[Actor, ...] | None = ()
        if seen.stuck and number == 0:
            leaving = _all_of_one_node(trial, actor, free, staying.values())
        elif not _take_room(free, trial):
            leaving = _fewest(trial, actor, free, staying.values())
        if leaving is None:
            break
        for each in leaving:
            free[each.node_id] = free[each.node_id].after(each.size(actor), each.part)
            del staying[each.key]
            if each.state is ActorState.BUSY:
                waiting_for.add(each.node_id)
        if leaving:
            _take_room(free, trial)
    if seen.trials:  # a machine that comes is for a trial
        staying = {key: each for key, each in staying.items() if each.node_id}
    if 0 < actor.gpus < 1:  # where a GPU becomes free step by step, Ray would put a new actor on just that GPU
        free = {node_id: node for node_id, node in free.items() if node_id not in waiting_for}
    unused = [each for each in staying.values() if each.state is not ActorState.BUSY]
    lacking = seen.tasks - len(unused)
    size: ProcessResources = actor
    if not seen.trials:
        whole = min(seen.tasks - _gpus_without_work(staying.values()), _unused_gpus(actor, free))
        lacking = max(lacking, whole)
        size = _largest_size(actor, free, lacking)
    start = _spread(size, free, lacking)
    spare = {each.key for each in unused[seen.tasks :] if not each.node_id or each.idle_seconds > LONG_IDLE}
    up = len(staying) + len(start)
    if lacking > len(start) and not seen.trials and (not up or seen.task_seconds > NEW_NODE * up):
        start += [""] * min(lacking - len(start), seen.absent)
    give_back = frozenset(each.key for each in seen.actors if each.key not in staying) | spare
    return Decision(tuple(start), give_back, size.gpus if start and size is not actor else None, not seen.trials)


def _is_stranded(actor: Actor, free: dict[str, Node]) -> bool:
    """Whether an actor can't start since a trial was quicker, or its node is gone."""
    if not actor.node_id:
        return False
    node = free.get(actor.node_id)
    if node is None:
        return True
    return actor.state is ActorState.STARTING and (node.cpus < -1e-6 or node.gpus < -1e-6)


def _take_room(free: dict[str, Node], trial: ProcessResources) -> bool:
    """Keep room for a trial where it fits most tightly; whether there is any."""
    fitting = [node for node in free.values() if node.holds(trial)]
    if not fitting:
        return False
    node = min(fitting, key=lambda node: (node.gpus, node.cpus))
    free[node.node_id] = node.without(trial)
    return True


def _fewest(
    trial: ProcessResources, actor: ProcessResources, free: dict[str, Node], actors: Iterable[Actor]
) -> tuple[Actor, ...] | None:
    """The actors whose room a trial should get: few, and idle ones first; None if all together would not do."""
    best: tuple[Actor, ...] | None = None
    for node_id, there in _by_node(actors).items():
        leaving = _fewest_on(free[node_id], trial, actor, there)
        if leaving is not None and (best is None or _loss(leaving) < _loss(best)):
            best = leaving
    return best


def _fewest_on(
    node: Node, trial: ProcessResources, actor: ProcessResources, actors: Sequence[Actor]
) -> tuple[Actor, ...] | None:
    """The same for one node. Actors on the same GPU leave together, since a trial needs the whole of it."""
    busy = {
        part: sum(each.part == part and each.state is ActorState.BUSY for each in actors) for part in _parts(actors)
    }
    order = sorted(actors, key=lambda each: (busy[each.part], each.part or 0, each.state is ActorState.BUSY, each.key))
    leaving: list[Actor] = []
    for each in order:
        leaving.append(each)
        if _without_actors(node, actor, leaving).holds(trial):
            break
    else:
        return None
    for each in tuple(reversed(leaving)):  # busy ones first
        others = [other for other in leaving if other is not each]
        if _without_actors(node, actor, others).holds(trial):
            leaving = others
    return tuple(leaving)


def _all_of_one_node(
    trial: ProcessResources, actor: ProcessResources, free: dict[str, Node], actors: Iterable[Actor]
) -> tuple[Actor, ...]:
    """All actors of the node on which that costs least: then a trial fits there, whatever was not seen."""
    choices = [
        tuple(there)
        for node_id, there in _by_node(actors).items()
        if _without_actors(free[node_id], actor, there).holds(trial)
    ]
    return min(choices, key=_loss, default=())


def _gpus_without_work(actors: Iterable[Actor]) -> int:
    """How many actors could work at once without sharing a GPU with one that works."""
    alone = 0
    shared: set[tuple[str, int]] = set()
    loaded: set[tuple[str, int]] = set()
    for each in actors:
        if each.part is None:
            alone += each.state is not ActorState.BUSY
        else:
            (loaded if each.state is ActorState.BUSY else shared).add((each.node_id, each.part))
    return alone + len(shared - loaded)


def _unused_gpus(actor: ProcessResources, free: dict[str, Node]) -> int:
    """How many GPUs nobody uses at all, if actors share GPUs."""
    return sum(node.room(with_gpus(actor, 1)) for node in free.values()) if 0 < actor.gpus < 1 else 0


def _largest_size(actor: ProcessResources, free: dict[str, Node], count: int) -> ProcessResources:
    """What each of so many actors may take of a GPU, if there are more GPUs than they need.

    Ray puts as many as it can on the same GPU of a node, and leaves the others idle.
    """
    if not 0 < actor.gpus < 1 or count <= 0:
        return actor
    for sharing in range(1, int(1 / actor.gpus + 1e-6)):
        size = with_gpus(actor, math.floor(GPU_STEPS / sharing) / GPU_STEPS)
        if sum(node.room(size) for node in free.values()) >= count:
            return size
    return actor


def _spread(size: ProcessResources, free: dict[str, Node], count: int) -> list[str]:
    """The node of each new actor: where most is free, and without GPUs where none is needed. Takes the room."""
    start: list[str] = []
    for _ in range(count):
        fitting = [node for node in free.values() if node.holds(size)]
        if not fitting:
            break
        node = max(fitting, key=lambda node: (node.gpus if size.gpus else -node.gpus, node.cpus))
        free[node.node_id] = node.without(size)
        start.append(node.node_id)
    return start


def _without_actors(node: Node, actor: ProcessResources, leaving: Iterable[Actor]) -> Node:
    for each in leaving:
        node = node.after(each.size(actor), each.part)
    return node


def _by_node(actors: Iterable[Actor]) -> dict[str, list[Actor]]:
    found: dict[str, list[Actor]] = {}
    for each in actors:
        if each.node_id:
            found.setdefault(each.node_id, []).append(each)
    return found


def _parts(actors: Iterable[Actor]) -> set[int | None]:
    return {each.part for each in actors}


def _loss(leaving: Sequence[Actor]) -> tuple[int, int]:
    """What it costs to give actors back: how long one has to wait, and how many have to start again."""
    return sum(each.state is ActorState.BUSY for each in leaving), len(leaving)
