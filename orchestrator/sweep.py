"""The sweep: plan → train and measure → log → report. Everything that `renyi run` does, from top to bottom."""

import os
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Literal

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import (
    SweepProgress,
    show_avoided,
    show_behind,
    show_failures,
    show_interruption,
    show_plan,
    show_tracking_recovery,
    show_tracking_trouble,
    show_work,
)
from orchestrator.events import TrialEvent
from orchestrator.executors.protocol import Executor
from orchestrator.interrupts import Interrupts
from orchestrator.report import report_sweeps
from orchestrator.store.activity import ActivityFile, read_activity
from orchestrator.store.lease import Lease
from orchestrator.store.plan import Plan, make_plan
from orchestrator.store.trial_store import TrialStore
from trainables.trial.storage import open_folder

if TYPE_CHECKING:
    from orchestrator.tracking.tracker import SweepTracker

ExecutorName = Literal["ray", "inline"]

ALL_MEASURED, SOME_FAILED, INTERRUPTED = 0, 1, 130


def run_sweep(
    config: SweepConfig,
    executor: ExecutorName = "ray",
    command: str | None = None,
    only: Collection[str] | None = None,
    prepare: Callable[[Plan], None] = lambda _: None,
) -> int:
    """Do what the store says is missing, bring MLflow up to date, and report.

    Running it again does only what is still missing; nothing that is done is done twice.

    Args:
        config: the sweep.
        executor: where trials run.
        command: what the user typed for the sweep, for the report; left out, its name.
        only: the trials to work on; left out, all.
        prepare: what to change in the store first, such as failures to forget.

    Returns:
        The exit code: 0 all trials measured, 1 some failed, 130 interrupted.

    Raises:
        UsageError: another driver works on the sweep, or MLflow does not answer; nothing was started.
        StorageError: the storage failed. What was finished is kept.
    """
    check_own_measures(config)
    command = command or config.name
    with Interrupts() as interrupts, Lease(open_folder(config.folder), f"renyi run {command}") as lease:
        plan = make_plan(config)
        plan.store.mark_layout()
        plan.store.folder.clear()
        if executor == "ray" and "RAY_ADDRESS" in os.environ and (plan.work.to_train or plan.work.to_measure):
            from orchestrator.executors.ray.preflight import preflight

            preflight(config)
        tracker = _open_tracker(plan)
        try:
            prepare(plan)
            plan = make_plan(config)
            show_plan(plan)
            _do(plan, executor, tracker, only)
            done = make_plan(config)
            show_work(plan, done)
            show_avoided(read_activity(plan.store.folder))
            behind = tracker.wait()
            report_sweeps([config], [command], "store" if behind else "tracking", tracker)
            show_failures(done)
            _close(tracker, interrupts, config)
        except KeyboardInterrupt:
            lease.check()
            _close(tracker, interrupts, config, "KILLED")
            show_interruption(make_plan(config))
            return INTERRUPTED
        except Exception:
            if not lease.lost:
                _close(tracker, interrupts, config, "FAILED")
            raise
    return SOME_FAILED if done.failed else ALL_MEASURED


def _do(plan: Plan, executor: ExecutorName, tracker: "SweepTracker", only: Collection[str] | None) -> None:
    """Train and measure what is missing, recording and showing each event."""
    with SweepProgress(plan) as progress, ActivityFile(plan.store.folder) as activity:
        tracker.reconcile(plan.states, lambda trial_id: progress.say(f"logging {trial_id}, left from before"))
        work = plan.work if only is None else plan.work.only(only)
        if not (work.to_train or work.to_measure):
            return
        progress.say(f"starting the {executor} executor")
        for event in _open_executor(executor, plan.config, plan.store).run(work):
            activity.record(event)
            if isinstance(event, TrialEvent):
                tracker.record(event)
            progress.update(event)


def _close(tracker: "SweepTracker", interrupts: Interrupts, config: SweepConfig, stopped: str = "") -> None:
    """Have everything logged and the parent run closed, and say what could not be."""
    with interrupts.held():
        behind = tracker.finish(stopped)
    if behind:
        show_behind(config, behind, tracker.trouble)


def check_own_measures(config: SweepConfig) -> None:
    """Import the measures that the sweep names by dotted path, so that a bad path is told before anything is trained.

    Raises:
        AnalysisError: a path does not import.
    """
    if config.sharpness.own_measures:
        from analysis.sharpness.measures.own import load_measure

        for path in config.sharpness.own_measures:
            load_measure(path)


def _open_executor(name: ExecutorName, config: SweepConfig, store: TrialStore) -> Executor:
    if name == "inline":
        from orchestrator.executors.inline import InlineExecutor

        return InlineExecutor(config, store)
    from orchestrator.executors.ray.executor import RayExecutor

    return RayExecutor(config, store)


def _open_tracker(plan: Plan) -> "SweepTracker":
    from orchestrator.tracking.tracker import SweepTracker

    return SweepTracker(plan.config, plan.store, plan.specs, show_tracking_trouble, show_tracking_recovery)
