"""The sweep: plan → train and measure → log → report. Everything that `renyi run` does, from top to bottom."""

import os
from collections.abc import Collection
from contextlib import closing
from typing import Literal

from analysis.one_line import one_line
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import (
    SweepProgress,
    announced,
    say,
    show_avoided,
    show_damages,
    show_derived,
    show_failures,
    show_interruption,
    show_pending,
    show_plan,
    show_stop,
    show_tracking_recovery,
    show_tracking_trouble,
    show_work,
)
from orchestrator.errors import UsageError
from orchestrator.events import TrialEvent, TrialFailed
from orchestrator.executors.protocol import Executor
from orchestrator.exit_codes import ExitCode
from orchestrator.interrupts import Interrupts
from orchestrator.on_end import exit_code_of, run_on_end
from orchestrator.permissions import files_for
from orchestrator.rehearsal import rehearsal_of, rehearse
from orchestrator.report import report_sweeps
from orchestrator.store.activity import ActivityFile, read_activity
from orchestrator.store.changes import Changes
from orchestrator.store.closing import close_sweep, reopen_sweep
from orchestrator.store.code import check_code
from orchestrator.store.from_spectra import measure_from_spectra
from orchestrator.store.inventory import write_index
from orchestrator.store.known_sets import record_set
from orchestrator.store.lease import Lease, LeaseError
from orchestrator.store.links import refuse_links
from orchestrator.store.plan import Plan, make_plan
from orchestrator.store.repair import remove
from orchestrator.store.steering import Steering
from orchestrator.store.trial_store import TrialState, TrialStore
from orchestrator.store.verify import verify_trial
from orchestrator.tracking.protocol import Stopped, Tracker
from trainables.errors import TrainingError
from trainables.trial.storage import open_folder

ExecutorName = Literal["ray", "inline"]
NO_CHANGES = Changes()
WHOLE = Steering()


def run_sweep(
    config: SweepConfig,
    executor: ExecutorName = "ray",
    command: str | None = None,
    only: Collection[str] | None = None,
    changes: Changes = NO_CHANGES,
    steering: Steering = WHOLE,
    rehearsed: bool = True,
) -> ExitCode:
    """Do what the store shows as missing, bring MLflow up to date, and report.

    Running it again does only what is still missing; nothing that is done is done twice.

    Args:
        config: the sweep.
        executor: where trials run.
        command: what the user typed for the sweep, for whoever finds it running; by default the config's own words.
        only: ids of the trials to work on; None for all.
        changes: what to change in the store first, such as failures to forget.
        steering: the part of the sweep that the command is about, and whether it stops at a failure.
        rehearsed: whether networks and optimizers are rehearsed before anything starts.

    Returns:
        ALL_MEASURED: no trial of the part failed; SOME_FAILED or INTERRUPTED.

    Raises:
        UsageError: another driver works on the sweep, MLflow does not answer, the preflight or the rehearsal found
            problems, or results would mix two versions of the user's code; nothing was started.
        StorageError: the storage failed. What was finished is kept.
    """
    try:
        if executor == "ray":
            _check_ray(config)
        with files_for(config.access):
            code = _run(config, executor, command or config.typed, only, changes, steering, rehearsed)
    except LeaseError:  # another driver has it
        raise
    except BaseException as error:
        run_on_end(config, exit_code_of(error))
        raise
    run_on_end(config, code)
    return code


def _run(
    config: SweepConfig,
    executor: ExecutorName,
    command: str,
    only: Collection[str] | None,
    changes: Changes,
    steering: Steering,
    rehearsed: bool,
) -> ExitCode:
    with Interrupts() as interrupts, Lease(open_folder(config.folder), f"renyi run {command}") as lease:
        refuse_links(open_folder(config.folder))
        closed = reopen_sweep(open_folder(config.folder))
        if changes.remove:
            only = remove(open_folder(config.folder), changes.remove)
        with announced("looking at the storage"):
            plan = make_plan(config)
        state, config = plan.data, plan.config
        if state.problem and plan.work.trials:
            raise TrainingError(state.problem)
        record_set(state, plan.store.folder)
        if not steering.accept_changed_code:
            check_code(plan, steering.part(plan, only), changes.forget_failures)
        plan.store.mark_layout()
        write_index(plan)
        plan.store.clear()
        _check_before_start(plan, steering.part(plan, only), executor, changes, rehearsed)
        with announced("opening MLflow"):
            tracker = _open_tracker(plan)
        try:
            if _forget_damaged_checkpoints(plan):
                plan = make_plan(config)
            plan, part = _changed(plan, changes, steering, only)
            show_plan(part, state)
            stopped = _do(plan, part, executor, tracker, only, steering.fail_fast)
            with announced("looking at what was done"):
                done = make_plan(config)
            failed = steering.about(done)
            show_work(plan, done)
            show_avoided(read_activity(plan.store.folder))
            if stopped:
                show_failures(failed)
                show_stop(done)
                lease.how = "stopped at the first failure"
                _close(tracker, interrupts, config, Stopped.FAILED)
                return ExitCode.SOME_FAILED
            with announced("logging to MLflow what is not there yet"):
                pending = tracker.wait()
            report_sweeps([config], "store" if pending else "tracking", tracker)
            show_failures(failed)
            complete = _close(tracker, interrupts, config)
            lease.how = "finished" if complete else "finished; MLflow lacks some of the results"
            if complete and (closed or part.work.trials or changes != NO_CHANGES):
                close_sweep(plan.store.folder, lease.number)
                lease.closed = True
        except KeyboardInterrupt:
            lease.check()
            lease.how = "interrupted"
            _close(tracker, interrupts, config, Stopped.INTERRUPTED)
            show_interruption(make_plan(config))
            return ExitCode.INTERRUPTED
        except Exception as error:
            lease.how = f"stopped by an error: {one_line(error)}"
            if not lease.lost:
                _close(tracker, interrupts, config, Stopped.FAILED)
            raise
    return ExitCode.SOME_FAILED if failed.failed else ExitCode.ALL_MEASURED


def _check_before_start(plan: Plan, part: Plan, executor: ExecutorName, changes: Changes, rehearsed: bool) -> None:
    """Find what would make trials fail, on every node of a cluster or on this machine; nothing if there is no work.

    Raises:
        UsageError: all problems, a line each.
    """
    again = [spec for spec in plan.failed if spec.trial_id in changes.forget_failures]
    work = part.work
    if not work.trials and not again:
        return
    rehearsal = rehearsal_of(plan.config, [*work.to_train, *again]) if rehearsed else None
    if executor == "ray" and os.environ.get("RAY_ADDRESS"):
        from orchestrator.executors.ray.preflight import preflight

        preflight(plan.config, rehearsal)
    elif rehearsal is not None:
        _check_tracking(plan.config)  # at once; a preflight does this too
        rehearse(rehearsal, say)


def _changed(plan: Plan, changes: Changes, steering: Steering, only: Collection[str] | None) -> tuple[Plan, Plan]:
    """Change the store as a command asks; the plan afterwards, and the part of it that the command works on."""
    chosen = None
    if changes.derive_measurements:
        part = steering.part(plan, only)
        chosen = None if part.part_of is None else set(part.states)  # no others once these are measured
        show_derived(measure_from_spectra(part))
    for trial_id in changes.forget_failures:
        plan.store.forget_failure(trial_id)
        _remove_damaged(plan, trial_id)  # it may be why the trial failed
    plan = make_plan(plan.config) if changes != NO_CHANGES else plan
    return plan, steering.part(plan, only) if chosen is None else plan.part(chosen)


def _forget_damaged_checkpoints(plan: Plan) -> bool:
    """Have trials whose training was interrupted start again where their last checkpoint is damaged.

    Returns:
        Whether there was one.
    """
    interrupted = [trial_id for trial_id, state in plan.states.items() if state is TrialState.TRAINING]
    removed = [_remove_damaged(plan, trial_id) for trial_id in interrupted]
    return any(removed)


def _remove_damaged(plan: Plan, trial_id: str) -> bool:
    """Remove the damaged files of a trial, and say so; what they were part of is made again. Whether any were."""
    damages = verify_trial(plan.store.folder, trial_id).damages
    show_damages(plan.store.folder.uri, damages, "removed, and made again")
    remove(plan.store.folder, damages)
    return bool(damages)


def _do(
    plan: Plan,
    part: Plan,
    executor: ExecutorName,
    tracker: Tracker,
    only: Collection[str] | None,
    fail_fast: bool,
) -> bool:
    """Train and measure what is missing of a part of the plan, recording and showing each event.

    Returns:
        Whether it stopped because a trial had failed.
    """
    with SweepProgress(part) as progress, ActivityFile(plan.store.folder) as activity:
        late: list[str] = []
        tracker.reconcile(plan.states, late.append)
        if late:
            progress.say(f"logging {len(late)} trials that MLflow lacks, or shows less of than the store has")
        work = part.work if only is None else part.work.only(only)
        if not work.trials:
            return False
        progress.say(f"starting the {executor} executor")
        with closing(_open_executor(executor, plan.config, plan.store).run(work)) as events:
            for event in events:
                activity.record(event)
                if isinstance(event, TrialEvent):
                    tracker.record(event)
                progress.update(event)
                if fail_fast and isinstance(event, TrialFailed):
                    return True
    return False


def _close(tracker: Tracker, interrupts: Interrupts, config: SweepConfig, stopped: Stopped | None = None) -> bool:
    """Finish the record, and show what could not be logged; whether all is."""
    with interrupts.held():
        pending = tracker.finish(stopped)
    if pending:
        show_pending(config, pending, tracker.trouble)
    return not pending


def _check_ray(config: SweepConfig) -> None:
    """Report what keeps Ray from starting before anything is written, unless nothing is left for it to do.

    Raises:
        UsageError: RAY_ADDRESS does not answer, or there is no room for Ray's sockets.
    """
    from orchestrator.executors.ray.address import check_ray

    try:
        check_ray()
    except UsageError:
        if make_plan(config).work.trials:
            raise


def _open_executor(name: ExecutorName, config: SweepConfig, store: TrialStore) -> Executor:
    if name == "inline":
        from orchestrator.executors.inline import InlineExecutor

        return InlineExecutor(config, store)
    from orchestrator.executors.ray.executor import RayExecutor

    return RayExecutor(config, store)


def _check_tracking(config: SweepConfig) -> None:
    from orchestrator.tracking.client import answering, check_answer

    with answering(config):
        check_answer(config)


def _open_tracker(plan: Plan) -> Tracker:
    from orchestrator.tracking.tracker import MLflowTracker

    return MLflowTracker(plan.config, plan.store, plan.specs, show_tracking_trouble, show_tracking_recovery)
