"""The progress of a sweep while it runs."""

import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from orchestrator.display.terminal import console, say
from orchestrator.events import (
    EpochsDone,
    Event,
    NodeAvoided,
    PoolResized,
    TrialFailed,
    TrialLost,
    TrialMeasured,
    TrialTrained,
)
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.trial.specs import TrialSpec

if TYPE_CHECKING:
    from orchestrator.store.plan import Plan


def bars(digits: int) -> Progress:
    """Bars with count and clock at any width; what does not fit of the note is cut.

    Args:
        digits: of the number of trials.
    """
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, min_width=8, justify="right")),
        BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=6, max_width=40)),
        MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=2 * digits + 1)),
        TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn(
            "{task.fields[note]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=3)
        ),
        console=console,
        disable=not console.is_terminal,
        expand=True,
    )


class SweepProgress:
    """Progress of a sweep: bars in a terminal, and everywhere a line for each finished step."""

    def __init__(self, plan: "Plan") -> None:
        self._specs = {spec.trial_id: spec for spec in plan.specs}
        self._store = plan.store
        self._total = len(plan.specs)
        self._trained = plan.counts[TrialState.MEASURED] + plan.counts[TrialState.TRAINED]
        self._measured = plan.counts[TrialState.MEASURED]
        self._failed = plan.counts[TrialState.FAILED]
        self._to_shift = {spec.trial_id for spec in plan.work.to_shift}
        self._started = time.monotonic()
        self._bars = bars(len(str(self._total)))
        self._training = self._bars.add_task("trained", total=self._total, completed=self._trained, note="")
        self._measuring = self._bars.add_task("measured", total=self._total, completed=self._measured, note="")

    def __enter__(self) -> "SweepProgress":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """Show a line about a step that takes some time."""
        say(text)

    def update(self, event: Event) -> None:
        """Show what has just happened."""
        if isinstance(event, NodeAvoided):
            self._failed -= len(event.trial_ids)
            self.say(
                f"node {event.node} gets no more work: {len(event.trial_ids)} trials failed on it in a row, the last "
                f"with {event.reason}; they are tried again on other nodes"
            )
            return
        if isinstance(event, PoolResized):
            self.say(f"the cluster has changed: it now has {event.actors} measuring actors, beside room for a trial")
            return
        spec = self._specs[event.trial_id]
        match event:
            case EpochsDone(epochs=epochs):
                self._bars.update(self._training, note=f"{spec.label}: epoch {epochs[-1].epoch + 1}")
            case TrialLost(node=node):
                self._line("lost", spec, f"its process on {node or 'a node'} died; it goes on from its last checkpoint")
            case TrialTrained():
                self._trained += 1
                self._bars.update(self._training, completed=self._trained)
                self._line("trained", spec, self._outcome(spec, self._store))
            case TrialMeasured() if spec.trial_id in self._to_shift:
                self._line("shifted", spec, "")
            case TrialMeasured():
                self._measured += 1
                self._bars.update(self._measuring, completed=self._measured)
                self._line("measured", spec, "")
            case TrialFailed():
                self._failed += 1
                failure = self._store.failure(spec.trial_id)
                self._line("failed", spec, f"in {failure.stage}: {failure.reason}")

    def _line(self, what: str, spec: TrialSpec, outcome: str) -> None:
        elapsed = int(time.monotonic() - self._started)
        done = f"{self._trained}/{self._total} trained, {self._measured}/{self._total} measured"
        failed = f", {self._failed} failed" if self._failed else ""
        clock = f"{elapsed // 60:d}:{elapsed % 60:02d}"
        say(f"{clock}  {done}{failed}  {what:>8}  {spec.label}  {outcome}".rstrip())

    @staticmethod
    def _outcome(spec: TrialSpec, store: TrialStore) -> str:
        result = store.trial(spec.trial_id).read_trained().generalization
        return (
            f"train loss {result.train_loss:.4f}, test accuracy {result.test_accuracy:.3f}, gap {result.gap_loss:.3f}"
        )
