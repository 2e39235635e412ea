"""A measuring actor as a process on the cluster, and the pool's view of it."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from analysis.settings import SharpnessSettings
from orchestrator.config.sweep_config import PoolResources
from orchestrator.executors.ray.nodes import avoiding
from orchestrator.executors.watched_actor import WatchedActor
from orchestrator.store.tasks import MeasuringTask
from orchestrator.store.trial_store import TrialStore
from trainables.processes.worker import Worker
from trainables.trial.specs import DataSpec, TrialSpec


@dataclass(eq=False)
class Member:
    """An actor of the pool, and where it is: as planned until it has reported it."""

    key: int
    handle: Any
    node: str = ""
    gpu: str | None = None  # that it shares
    gpus: float | None = None  # that it was started with, if more than every actor gets
    since: float = 0.0  # when it was started, or became idle


@dataclass(frozen=True)
class ActorKind:
    """What all actors of a pool have in common."""

    store: TrialStore
    settings: SharpnessSettings
    resources: PoolResources
    data: DataSpec

    def start(self, node: str, avoided: Collection[str] = (), gpus: float | None = None) -> Any:
        """Start an actor, and return its handle at once.

        In a pool of fixed size it keeps its place: if it dies, Ray starts it again, on the same node if possible, else
        elsewhere. Otherwise it runs on this node or not at all.

        Args:
            node: where; empty for wherever there is room.
            avoided: nodes on which it must not be.
            gpus: that it gets, if more than every actor.
        """
        fixed = self.resources.actors != "auto"
        actor_class = ray.remote(MeasuringActor).options(
            num_cpus=self.resources.cpus,
            num_gpus=self.resources.gpus if gpus is None else gpus,
            max_restarts=-1 if fixed else 0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=fixed) if node else "SPREAD",
            label_selector=avoiding(avoided),
        )
        store = self.store
        return actor_class.remote(store.folder.uri, self.settings, self.resources, self.data, store.shifts)


class MeasuringActor:
    """A measuring actor that reports its place. A worker beside it does what may hang or end its process."""

    def __init__(
        self,
        store_folder: str,
        settings: SharpnessSettings,
        resources: PoolResources,
        data: DataSpec,
        shifts: tuple[str, ...],
    ) -> None:
        memory = resources.memory(os.cpu_count() or 1)
        self._actor = WatchedActor(Worker(), store_folder, settings, resources.threads, data, shifts, memory)

    def measure(self, spec: TrialSpec) -> bool:
        """As `SharpnessActor` does."""
        return self._actor.measure(spec)

    def measure_part(self, spec: TrialSpec, task: MeasuringTask) -> bool:
        """As `SharpnessActor` does."""
        return self._actor.measure_part(spec, task)

    def assemble(self, spec: TrialSpec, tasks: Sequence[MeasuringTask]) -> bool:
        """As `SharpnessActor` does."""
        return self._actor.assemble(spec, tasks)

    @ray.method(max_task_retries=-1)
    def place(self) -> tuple[str, str | None]:
        """The id of its node, and the GPU that it has or shares, if any."""
        context = ray.get_runtime_context()
        return context.get_node_id(), next(iter(context.get_accelerator_ids()["GPU"]), None)
