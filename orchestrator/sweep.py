"""The sweep: plan → train and measure → log → report. Everything that `renyi run` does, from top to bottom."""

import os
from collections.abc import Collection
from typing import Literal

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import (
    SweepProgress,
    show_avoided,
    show_damages,
    show_derived,
    show_failures,
    show_interruption,
    show_pending,
    show_plan,
    show_tracking_recovery,
    show_tracking_trouble,
    show_work,
)
from orchestrator.events import TrialEvent
from orchestrator.executors.protocol import Executor
from orchestrator.exit_codes import ExitCode
from orchestrator.interrupts import Interrupts
from orchestrator.report import report_sweeps
from orchestrator.store.activity import ActivityFile, read_activity
from orchestrator.store.changes import Changes
from orchestrator.store.closing import close_sweep, reopen_sweep
from orchestrator.store.from_spectra import measure_from_spectra
from orchestrator.store.lease import Lease
from orchestrator.store.plan import Plan, make_plan
from orchestrator.store.repair import remove
from orchestrator.store.trial_store import TrialState, TrialStore
from orchestrator.store.verify import verify_trial
from orchestrator.tracking.protocol import Stopped, Tracker
from trainables.trial.storage import open_folder

ExecutorName = Literal["ray", "inline"]
NO_CHANGES = Changes()


def run_sweep(
    config: SweepConfig,
    executor: ExecutorName = "ray",
    command: str | None = None,
    only: Collection[str] | None = None,
    changes: Changes = NO_CHANGES,
) -> ExitCode:
    """Do what the store shows as missing, bring MLflow up to date, and report.

    Running it again does only what is still missing; nothing that is done is done twice.

    Args:
        config: the sweep.
        executor: where trials run.
        command: what the user typed for the sweep, for the report; by default the sweep's name.
        only: ids of the trials to work on; None for all.
        changes: what to change in the store first, such as failures to forget.

    Returns:
        ALL_MEASURED, SOME_FAILED or INTERRUPTED.

    Raises:
        UsageError: another driver works on the sweep, or MLflow does not answer; nothing was started.
        StorageError: the storage failed. What was finished is kept.
    """
    check_own_measures(config)
    command = command or config.name
    with Interrupts() as interrupts, Lease(open_folder(config.folder), f"renyi run {command}") as lease:
        closed = reopen_sweep(open_folder(config.folder))
        if changes.remove:
            only = remove(open_folder(config.folder), changes.remove)
        plan = make_plan(config)
        plan.store.mark_layout()
        plan.store.clear()
        if executor == "ray" and "RAY_ADDRESS" in os.environ and plan.work.trials:
            from orchestrator.executors.ray.preflight import preflight

            preflight(config)
        tracker = _open_tracker(plan)
        try:
            _apply(changes, plan)
            _forget_damaged_checkpoints(plan)
            plan = make_plan(config)
            show_plan(plan)
            _do(plan, executor, tracker, only)
            done = make_plan(config)
            show_work(plan, done)
            show_avoided(read_activity(plan.store.folder))
            pending = tracker.wait()
            report_sweeps([config], [command], "store" if pending else "tracking", tracker)
            show_failures(done)
            complete = _close(tracker, interrupts, config)
            if complete and (closed or plan.work.trials or changes != NO_CHANGES):
                close_sweep(plan.store.folder, lease.number)
                lease.closed = True
        except KeyboardInterrupt:
            lease.check()
            _close(tracker, interrupts, config, Stopped.INTERRUPTED)
            show_interruption(make_plan(config))
            return ExitCode.INTERRUPTED
        except Exception:
            if not lease.lost:
                _close(tracker, interrupts, config, Stopped.FAILED)
            raise
    return ExitCode.SOME_FAILED if done.failed else ExitCode.ALL_MEASURED


def _apply(changes: Changes, plan: Plan) -> None:
    """Change the store as a command asks."""
    for trial_id in changes.forget_failures:
        plan.store.forget_failure(trial_id)
        _remove_damaged(plan, trial_id)  # it may be why the trial failed
    if changes.derive_measurements:
        show_derived(measure_from_spectra(plan))


def _forget_damaged_checkpoints(plan: Plan) -> None:
    """Have trials whose training was interrupted start again where their last checkpoint is damaged."""
    for trial_id, state in plan.states.items():
        if state is TrialState.TRAINING:
            _remove_damaged(plan, trial_id)


def _remove_damaged(plan: Plan, trial_id: str) -> None:
    """Remove the damaged files of a trial, and say so; what they were part of is made again."""
    damages = verify_trial(plan.store.folder, trial_id).damages
    show_damages(plan.store.folder.uri, damages, "removed, and made again")
    remove(plan.store.folder, damages)


def _do(plan: Plan, executor: ExecutorName, tracker: Tracker, only: Collection[str] | None) -> None:
    """Train and measure what is missing, recording and showing each event."""
    with SweepProgress(plan) as progress, ActivityFile(plan.store.folder) as activity:
        tracker.reconcile(plan.states, lambda trial_id: progress.say(f"logging {trial_id}, missing in MLflow"))
        work = plan.work if only is None else plan.work.only(only)
        if not work.trials:
            return
        progress.say(f"starting the {executor} executor")
        for event in _open_executor(executor, plan.config, plan.store).run(work):
            activity.record(event)
            if isinstance(event, TrialEvent):
                tracker.record(event)
            progress.update(event)


def _close(tracker: Tracker, interrupts: Interrupts, config: SweepConfig, stopped: Stopped | None = None) -> bool:
    """Finish the record, and show what could not be logged; whether all is."""
    with interrupts.held():
        pending = tracker.finish(stopped)
    if pending:
        show_pending(config, pending, tracker.trouble)
    return not pending


def check_own_measures(config: SweepConfig) -> None:
    """Import the measures that the sweep names by dotted path, so that a bad path is reported before any training.

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


def _open_tracker(plan: Plan) -> Tracker:
    from orchestrator.tracking.tracker import MLflowTracker

    return MLflowTracker(plan.config, plan.store, plan.specs, show_tracking_trouble, show_tracking_recovery)
