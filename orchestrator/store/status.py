"""`renyi status`: the progress of a sweep, from its store alone."""

from dataclasses import asdict, dataclass, field
from typing import Any

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.activity import Activity, read_activity
from orchestrator.store.lease import Driver, current_driver
from orchestrator.store.plan import Plan, make_plan
from orchestrator.store.trial_store import TrialState
from orchestrator.store.verify import Damage, verify_notes
from trainables.errors import DamagedError


@dataclass(frozen=True)
class Status:
    """The progress of a sweep at one moment."""

    plan: Plan
    driver: Driver | None  # the last one; None if the sweep never ran
    activity: Activity | None  # what that driver last reported of its nodes
    damages: list[Damage] = field(default_factory=list)  # of the files that say both

    @property
    def running(self) -> bool:
        """Whether a driver works on the sweep."""
        return self.driver is not None and self.driver.is_at_work

    @property
    def done(self) -> bool:
        """Whether nothing is missing, except of trials that failed."""
        return not self.plan.work.trials

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all is done, at the running driver's rate, or by the plan's cost before there is a rate."""
        work, cost = self.plan.work, self.plan.cost
        by_rate = self.activity.seconds_left(len(work.trials)) if self.activity is not None and self.running else None
        only_shifts = bool(work.to_shift) and not (work.to_train or work.to_measure)  # they are not part of the cost
        if by_rate is None and cost is not None and not cost.gpu and not only_shifts:
            return cost.wall_seconds
        return by_rate

    def to_json(self) -> dict[str, Any]:
        """The whole status, for programs."""
        plan = self.plan
        failures = {spec.trial_id: plan.store.failure(spec.trial_id) for spec in plan.failed}
        return {
            "sweep": plan.config.name,
            "trials": len(plan.specs),
            "states": {state.value: plan.counts[state] for state in TrialState},
            "shifts": {
                shift: sum(shift not in missing for missing in plan.missing_shifts.values())
                for shift in plan.config.shifts
            },
            "failures": {
                trial_id: {"stage": failure.stage, "reason": failure.reason} for trial_id, failure in failures.items()
            },
            "running": self.running,
            "seconds_left": self.seconds_left,
            "driver": asdict(self.driver) if self.driver is not None else None,
            "nodes": {name: asdict(node) for name, node in self.activity.nodes.items()} if self.activity else {},
            "storage": plan.config.folder,
        }


def read_status(config: SweepConfig) -> Status:
    """Read the status of a sweep from its store."""
    plan = make_plan(config)
    folder = plan.store.folder
    try:
        activity = read_activity(folder)
    except DamagedError:
        activity = None
    return Status(plan, current_driver(folder), activity, verify_notes(folder))
