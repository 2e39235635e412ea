"""The plan of a sweep: its trials, what is done, and what is missing."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.config.expand import expand
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.cost import Cost, estimate_cost
from orchestrator.store.known_sets import DataState, identify
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.trial.specs import TrialSpec


@dataclass(frozen=True)
class Work:
    """The trials of a sweep that must still be trained, measured or evaluated under shifts."""

    to_train: list[TrialSpec] = field(default_factory=list)
    to_measure: list[TrialSpec] = field(default_factory=list)  # they are trained already
    to_shift: list[TrialSpec] = field(default_factory=list)  # they are measured already; only shifts are missing

    @property
    def trials(self) -> list[TrialSpec]:
        """All of them."""
        return [*self.to_train, *self.to_measure, *self.to_shift]

    def only(self, trial_ids: Collection[str]) -> "Work":
        """The part of the work that concerns these trials."""
        return Work(
            [spec for spec in self.to_train if spec.trial_id in trial_ids],
            [spec for spec in self.to_measure if spec.trial_id in trial_ids],
            [spec for spec in self.to_shift if spec.trial_id in trial_ids],
        )


@dataclass(frozen=True)
class Plan:
    """A sweep compared with its store. Its `config` has the fingerprint of the data set, where that has one."""

    config: SweepConfig
    store: TrialStore
    specs: list[TrialSpec]
    states: dict[str, TrialState]
    missing_shifts: dict[str, tuple[str, ...]]  # of each trial
    cost: Cost | None
    data: DataState
    part_of: int | None = None  # trials of the sweep, where this is the plan of a part of them

    @property
    def counts(self) -> Counter[TrialState]:
        """How many trials are in each state."""
        return Counter(self.states.values())

    @property
    def work(self) -> Work:
        """The missing work. Failed trials are not part of it until they are retried."""
        return Work(
            to_train=self._in(TrialState.PENDING, TrialState.TRAINING),
            to_measure=self._in(TrialState.TRAINED),
            to_shift=[spec for spec in self._in(TrialState.MEASURED) if self.missing_shifts[spec.trial_id]],
        )

    @property
    def num_missing_shifts(self) -> int:
        """How many evaluations under shifts the missing work contains."""
        return sum(len(self.missing_shifts[spec.trial_id]) for spec in self.work.trials)

    @property
    def failed(self) -> list[TrialSpec]:
        """The trials that failed."""
        return self._in(TrialState.FAILED)

    def part(self, trial_ids: Collection[str]) -> "Plan":
        """The plan of some of the trials, with the cost of their missing work."""
        chosen = set(trial_ids)
        specs = [spec for spec in self.specs if spec.trial_id in chosen]
        states = {spec.trial_id: self.states[spec.trial_id] for spec in specs}
        missing = {spec.trial_id: self.missing_shifts[spec.trial_id] for spec in specs}
        finished = [trial_id for trial_id, state in self.states.items() if state is TrialState.MEASURED]
        cost = _cost(self.config, specs, states, self.store, finished)
        whole = len(self.specs) if self.part_of is None else self.part_of
        return replace(self, specs=specs, states=states, missing_shifts=missing, cost=cost, part_of=whole)

    def _in(self, *states: TrialState) -> list[TrialSpec]:
        return [spec for spec in self.specs if self.states[spec.trial_id] in states]


def make_plan(config: SweepConfig) -> Plan:
    """Identify the data set, expand the grid, and look up each trial in the store.

    Raises:
        UsageError: it can't be told whether trials of the store are of this data set.
    """
    data = identify(config)
    config = data.config
    specs = expand(config)
    store = TrialStore(config.folder, config.sharpness.measurement_id, config.shifts)
    states = store.states(specs)
    missing = {
        spec.trial_id: config.shifts
        if states[spec.trial_id] is TrialState.PENDING
        else store.missing_shifts(spec.trial_id)
        for spec in specs
    }
    return Plan(config, store, specs, states, missing, _cost(config, specs, states, store), data)


def _cost(
    config: SweepConfig,
    specs: list[TrialSpec],
    states: Mapping[str, TrialState],
    store: TrialStore,
    finished: Sequence[str] = (),
) -> Cost | None:
    gpu, most = config.resources.trial.gpus > 0, config.resources.max_concurrent
    return estimate_cost(specs, states, config.sharpness, store, gpu, most, finished)
