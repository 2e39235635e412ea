"""Which nodes get no more work: those on which different trials fail one after the other."""

from dataclasses import dataclass, field

FAILURES_IN_A_ROW = 3


@dataclass
class CircuitBreaker:
    """Failures of different trials on each node since its last success.

    A trial counts against the first node that it fails on, and against no other. If it fails again elsewhere, the trial
    itself is at fault, and no longer counts against its first node. So trials that diverge don't disable one node after
    the other.
    """

    limit: int = FAILURES_IN_A_ROW
    _streaks: dict[str, list[str]] = field(default_factory=dict)  # node → trials that failed there
    _first: dict[str, str] = field(default_factory=dict)  # trial → the node that it failed on first

    def succeeded(self, node: str) -> None:
        """Note that the node trained a trial, or did a task of a measurement."""
        self._streaks.pop(node, None)

    def failed(self, node: str, trial_id: str) -> bool:
        """Note that a trial failed on the node; whether the node should be avoided from now on."""
        first = self._first.setdefault(trial_id, node)
        if first != node:
            if trial_id in self._streaks.get(first, ()):
                self._streaks[first].remove(trial_id)
            return False
        streak = self._streaks.setdefault(node, [])
        if trial_id not in streak:
            streak.append(trial_id)
        return len(streak) >= self.limit

    def blamed(self, node: str) -> list[str]:
        """The trials of the node's streak, which are to be tried again elsewhere."""
        return list(self._streaks.get(node, ()))
