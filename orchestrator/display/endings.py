"""What happened: the work that was done, failures with their reasons, interruptions, and what MLflow lacks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.display.terminal import say, stderr_console
from orchestrator.store.trial_store import TrialState

if TYPE_CHECKING:
    from orchestrator.config.sweep_config import SweepConfig
    from orchestrator.store.activity import Activity
    from orchestrator.store.plan import Plan
    from orchestrator.store.verify import Damage

MAX_FAILURES_SHOWN = 20


def show_avoided(activity: "Activity | None") -> None:
    """Show each node that got no more work, and why."""
    for name, node in activity.nodes.items() if activity else ():
        if node.avoided:
            say(f"node {name} was avoided: {node.avoided}", style="yellow")


def show_damages(folder: str, damages: "Sequence[Damage]", done: str = "") -> None:
    """Show files that are not what was written, a line each, and what was done about them."""
    for damage in damages:
        say(f"{folder}/{damage.path} is damaged: {damage.reason}{done and f'; {done}'}", 0)


def show_work(before: "Plan", after: "Plan") -> None:
    """Show in one line what was done between two plans."""
    trained = _newly(before, after, TrialState.TRAINED, TrialState.MEASURED)
    measured = _newly(before, after, TrialState.MEASURED)
    before_missing, after_missing = (sum(map(len, plan.missing_shifts.values())) for plan in (before, after))
    shifted = f", {before_missing - after_missing} evaluated under shifts" if after.config.shifts else ""
    say(f"{trained} trained, {measured} measured{shifted}; {len(after.specs)} trials in all", 0)


def _newly(before: "Plan", after: "Plan", *states: TrialState) -> int:
    """How many trials have come to be in these states; those that left them, since a shift failed, do not count."""
    return sum(after.states[each] in states and before.states[each] not in states for each in after.states)


def show_interruption(plan: "Plan") -> None:
    """Show what an interrupted sweep has finished, and how to resume it."""
    measured = plan.counts[TrialState.MEASURED]
    say(
        f"interrupted: {measured}/{len(plan.specs)} trials are measured and kept; the others go on from their last "
        "checkpoint. The same command resumes the sweep.",
        0,
    )


def show_stop(plan: "Plan") -> None:
    """Show that a sweep stopped at its first failure, and how it goes on."""
    measured = plan.counts[TrialState.MEASURED]
    say(
        f"stopped at the first failure: {measured}/{len(plan.specs)} trials are measured and kept. The same command "
        "goes on with the others, from their last checkpoints.",
        0,
    )


def show_failures(plan: "Plan") -> None:
    """Show each failed trial once, with its reason, and the command that runs it again."""
    if not plan.failed:
        return
    say(f"{len(plan.failed)} failed", 0, style="bold red")
    for spec in plan.failed[:MAX_FAILURES_SHOWN]:
        failure = plan.store.failure(spec.trial_id)
        say(f"{spec.trial_id}  {spec.label}")
        say(f"in {failure.stage}: {failure.reason}", 6)
    if len(plan.failed) > MAX_FAILURES_SHOWN:
        say(f"… and {len(plan.failed) - MAX_FAILURES_SHOWN} more")
    say(f"try them again with: renyi retry {plan.config.typed}", whole=True)


def show_warning(text: str) -> None:
    """Show what went wrong beside the sweep and does not affect it."""
    stderr_console.print(text, style="yellow")


def show_tracking_trouble(reason: str) -> None:
    """Show that MLflow can't be written, and that the sweep goes on without it."""
    say(
        f"MLflow can't be written at the moment ({reason}); the sweep goes on. Its results are in the store, and are "
        "logged as soon as MLflow answers"
    )


def show_tracking_recovery() -> None:
    """Show that MLflow can be written again."""
    say("MLflow answers again; pending results are being logged")


def show_pending(config: "SweepConfig", pending: int, reason: str) -> None:
    """Show what the record in MLflow lacks at the end of a sweep."""
    say(f"not logged: {pending} writes to MLflow at {config.shown_tracking} ({reason}).", 0)
    say("All results are in the store. Once MLflow answers, this logs what is missing:", 0)
    say(f"renyi run {config.typed}", whole=True)


def show_derived(trial_ids: "Sequence[str]") -> None:
    """Show how many trials needed no new measuring."""
    say(f"{len(trial_ids)} measured from stored spectra", 0)
