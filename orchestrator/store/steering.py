"""How much of a sweep a command works on, when it stops, and whether it goes on with changed code."""

from collections.abc import Collection
from dataclasses import dataclass

from orchestrator.store.plan import Plan


@dataclass(frozen=True)
class Steering:
    """The part of a sweep that a command is about; by default all of it, to the end."""

    trials: Collection[str] | None = None  # ids; None: all
    limit: int | None = None  # at most so many missing trials, the first in the order of the grid
    fail_fast: bool = False  # stop when a trial has failed
    accept_changed_code: bool = False  # do what is missing with other code of the user's than what is there

    def part(self, plan: Plan, among: Collection[str] | None = None) -> Plan:
        """The part of a plan that the command works on.

        Args:
            plan: the whole plan.
            among: ids of the trials that may be worked on; None: all that are missing.
        """
        chosen = self.about(plan)
        if self.limit is None:
            return chosen
        work = chosen.work if among is None else chosen.work.only(among)
        missing = {spec.trial_id for spec in work.trials}
        return plan.part([spec.trial_id for spec in plan.specs if spec.trial_id in missing][: self.limit])

    def about(self, plan: Plan) -> Plan:
        """The part of a plan that the command is about, done or not: its failures make the exit code."""
        return plan if self.trials is None else plan.part(self.trials)
