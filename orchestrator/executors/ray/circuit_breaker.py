"""Which nodes to give no more work: those on which different trials fail one after the other."""

from dataclasses import dataclass, field

FAILURES_IN_A_ROW = 3


@dataclass
class CircuitBreaker:
    """Failures of different trials on each node since its last success.

    A trial counts against the first node that it fails on, and only there: one that fails again elsewhere is at fault
    itself, and its first node is acquitted of it. So trials that diverge don't take one node after the other.
    """

    limit: int = FAILURES_IN_A_ROW
    _streaks: dict[str, list[str]] = field(default_factory=dict)  # node → trials that failed there
    _first: dict[str, str] = field(default_factory=dict)  # trial → the node that it failed on first

    def succeeded(self, node: str) -> None:
        """A trial was trained, or a task measured, on the node."""
        self._streaks.pop(node, None)

    def failed(self, node: str, trial_id: str) -> bool:
        """Whether this failure makes the node one to avoid."""
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
        """The trials of the node's streak: what to try again elsewhere."""
        return list(self._streaks.get(node, ()))


@dataclass(frozen=True)
class Ending:
    """How work on a trial ended, for whoever judges nodes."""

    node: str  # its id; empty where that is not known
    trial_id: str
    succeeded: bool
