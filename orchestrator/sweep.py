"""The sweep: plan → train and measure → log → report. Everything that `renyi run` does, from top to bottom."""

from typing import TYPE_CHECKING, Literal

from orchestrator.config import SweepConfig
from orchestrator.display import SweepProgress, console, show_failures, show_plan
from orchestrator.events import Executor
from orchestrator.plan import Plan, make_plan
from orchestrator.reporting import report_sweeps
from orchestrator.trial_store import TrialState, TrialStore

if TYPE_CHECKING:
    from orchestrator.tracking import SweepTracker

ExecutorName = Literal["ray", "inline"]

ALL_MEASURED, SOME_FAILED, INTERRUPTED = 0, 1, 130


def run_sweep(config: SweepConfig, executor: ExecutorName = "ray", command: str | None = None) -> int:
    """Do what the store says is missing, bring MLflow up to date, and report.

    Running it again does only what is still missing; nothing that is done is done twice.

    Args:
        config: the sweep.
        executor: where trials run.
        command: what the user typed for the sweep, for the report; left out, its name.

    Returns:
        The exit code: 0 all trials measured, 1 some failed, 130 interrupted.
    """
    plan = make_plan(config)
    show_plan(plan)
    tracker = _open_tracker(plan)
    try:
        with SweepProgress(plan) as progress:
            tracker.reconcile(plan.states, lambda trial_id: progress.say(f"logging {trial_id}, left from before"))
            if plan.work.to_train or plan.work.to_measure:
                progress.say(f"starting the {executor} executor")
                for event in _open_executor(executor, config, plan.store).run(plan.work):
                    tracker.record(event)
                    progress.update(event)
    except KeyboardInterrupt:
        done = make_plan(config)
        tracker.finish(done.states, interrupted=True)
        measured = done.counts[TrialState.MEASURED]
        console.print(
            f"\ninterrupted: {measured}/{len(done.specs)} trials are measured and kept, the others go on from"
        )
        console.print("their last epoch. The same command takes it up again.")
        return INTERRUPTED
    done = make_plan(config)
    show_work(plan, done)
    report_sweeps([config], [command or config.name], tracker=tracker)
    show_failures(done)
    tracker.finish(done.states)
    return SOME_FAILED if done.failed else ALL_MEASURED


def show_work(before: Plan, after: Plan) -> None:
    """One line on what this run did."""
    trained = _finished(after) - _finished(before)
    measured = after.counts[TrialState.MEASURED] - before.counts[TrialState.MEASURED]
    console.print(f"{trained} trained, {measured} measured; {len(after.specs)} trials in all")


def _finished(plan: Plan) -> int:
    """Trials that are trained to the end."""
    return plan.counts[TrialState.TRAINED] + plan.counts[TrialState.MEASURED]


def _open_executor(name: ExecutorName, config: SweepConfig, store: TrialStore) -> Executor:
    if name == "inline":
        from orchestrator.inline import InlineExecutor

        return InlineExecutor(config, store)
    from orchestrator.tuning import RayExecutor

    return RayExecutor(config, store)


def _open_tracker(plan: Plan) -> "SweepTracker":
    from orchestrator.tracking import SweepTracker

    return SweepTracker(plan.config, plan.store, plan.specs)
