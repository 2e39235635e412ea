"""Commands that make a sweep run, check that it can, and end it."""

from collections.abc import Collection
from typing import Annotated

import typer

from analysis.duration import in_words
from orchestrator.commands.endings import usage_errors
from orchestrator.commands.on_cluster import call_on, run_on
from orchestrator.commands.options import (
    AcceptChangedCode,
    ClusterFile,
    Executor,
    ExecutorName,
    FailedTrials,
    FailFast,
    Limit,
    Only,
    Storage,
    Sweep,
    TimeLimit,
    Tracking,
    WithRehearsal,
    time_limit_of,
)
from orchestrator.commands.part import steering, words
from orchestrator.config.load import address_options, load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import MAX_FAILURES_SHOWN, announced, show_failures
from orchestrator.errors import UsageError
from orchestrator.interrupts import interrupted_after
from orchestrator.rehearsal import Rehearsal, rehearsal_of
from orchestrator.store.changes import Changes
from orchestrator.store.plan import Plan, make_plan
from orchestrator.store.steering import Steering
from trainables.errors import StorageError


def run(
    sweep: Sweep,
    only: Only = None,
    limit: Limit = None,
    fail_fast: FailFast = False,
    accept_changed_code: AcceptChangedCode = False,
    executor: Executor = None,
    storage: Storage = None,
    tracking: Tracking = None,
    cluster: ClusterFile = None,
    time_limit: TimeLimit = None,
    rehearsal: WithRehearsal = True,
) -> None:
    """Train and measure every trial that is missing, log to MLflow, and rank the measures.

    The same command resumes an interrupted sweep. After a grid was extended, it runs the new trials only. If the code
    of your own network or measures has changed since, it says so and asks for `--accept-changed-code`.

    Exit code: 0 no trial failed, 1 some trials failed, 2 bad input, 3 a defect of this program, 130 interrupted. With
    `--only`, these trials count.

    With `--cluster` the sweep runs there as a Ray job. Its output is shown here; Ctrl-C leaves the job running.

    Example: `renyi run digits`, `renyi run digits --only 'learning_rate>0.01' --limit 5`,
    `renyi run my_sweep.yaml --cluster cluster.yaml`
    """
    with usage_errors():
        seconds = time_limit_of(time_limit)
        if cluster:
            span = [] if time_limit is None else ["--time-limit", time_limit]
            options = [
                *span,
                *([] if rehearsal else ["--no-rehearsal"]),
                *words(only, limit, fail_fast, accept_changed_code),
            ]
            run_on(cluster, executor, sweep, ["run", *options, *address_options(storage, tracking)])
        with interrupted_after(seconds, f"the time limit of {in_words(seconds or 0)} is over"):
            config = load(sweep, storage, tracking)
            part = steering(config, only, limit, fail_fast, accept_changed_code)
            raise typer.Exit(_run(config, executor, sweep, part, rehearsed=rehearsal))


def retry(
    sweep: Sweep,
    trial: FailedTrials = None,
    only: Only = None,
    limit: Limit = None,
    fail_fast: FailFast = False,
    accept_changed_code: AcceptChangedCode = False,
    executor: Executor = None,
    storage: Storage = None,
    tracking: Tracking = None,
    cluster: ClusterFile = None,
) -> None:
    """Run the failed trials again, each from its last good step; nothing else.

    Example: `renyi retry digits`, `renyi retry digits --trial 0105ba9dbfe1`
    """
    with usage_errors():
        if cluster:
            options = [*words(only, limit, fail_fast, accept_changed_code), *address_options(storage, tracking)]
            named = [word for name in trial or () for word in ("--trial", name)]
            run_on(cluster, executor, sweep, ["retry", *named, *options])
        config = load(sweep, storage, tracking)
        part = steering(config, only, limit, fail_fast, accept_changed_code)
        before = part.about(make_plan(config))
        chosen = chosen_failures(before, trial)[:limit]
        show_failures(before)
        raise typer.Exit(_run(config, executor, sweep, part, chosen, Changes(forget_failures=tuple(chosen))))


def remeasure(
    sweep: Sweep,
    only: Only = None,
    limit: Limit = None,
    fail_fast: FailFast = False,
    accept_changed_code: AcceptChangedCode = False,
    executor: Executor = None,
    storage: Storage = None,
    tracking: Tracking = None,
    cluster: ClusterFile = None,
) -> None:
    """Measure the trained networks with the present settings of the file. Trains nothing.

    New orders of the Rényi entropy come from the stored spectra, at once and without a GPU. For other settings, the
    networks are measured again, for other shifts evaluated. Earlier measurements are kept.

    Example: `renyi remeasure digits`
    """
    with usage_errors():
        if cluster:
            options = [*words(only, limit, fail_fast, accept_changed_code), *address_options(storage, tracking)]
            run_on(cluster, executor, sweep, ["remeasure", *options])
        config = load(sweep, storage, tracking)
        part = steering(config, only, limit, fail_fast, accept_changed_code)
        work = part.about(make_plan(config)).work
        trained = [spec.trial_id for spec in [*work.to_measure, *work.to_shift]]
        raise typer.Exit(_run(config, executor, sweep, part, trained, Changes(derive_measurements=True)))


def stop(
    sweep: Sweep, cluster: Annotated[str, typer.Option(help="The launcher file of the cluster that runs it.")]
) -> None:
    """End a sweep that runs on a cluster. Its trials keep their last checkpoints, and `renyi run` resumes it.

    Example: `renyi stop digits --cluster cluster.yaml`
    """
    with usage_errors():
        from orchestrator.remote.cluster import stop_sweep_on

        raise typer.Exit(stop_sweep_on(cluster, sweep))


def preflight(sweep: Sweep, storage: Storage = None, tracking: Tracking = None, cluster: ClusterFile = None) -> None:
    """Check that every node of a cluster can take part in a sweep: versions, storage, data, tracking, GPUs, clocks.

    `renyi run` does the same before the first trial. Exit code: 0 no problem, 2 with a line for each problem.

    Example: `renyi preflight digits --cluster cluster.yaml`
    """
    with usage_errors():
        if cluster:
            call_on(cluster, [sweep], "preflight", address_options(storage, tracking))
        from orchestrator.executors.ray.preflight import preflight as check

        config = load(sweep, storage, tracking)
        check(config, _rehearsal(config))


def _rehearsal(config: SweepConfig) -> Rehearsal | None:
    """That of the trials still to be trained; None where the storage can't be read, which the preflight reports."""
    try:
        return rehearsal_of(config, make_plan(config).work.to_train)
    except StorageError:
        return None


def chosen_failures(plan: Plan, trial_ids: list[str] | None) -> list[str]:
    """The ids of the failed trials to try again: those that were named, or all.

    Raises:
        UsageError: a name is not that of a failed trial of the sweep.
    """
    failed = [spec.trial_id for spec in plan.failed]
    known = f"failed: {', '.join(failed[:MAX_FAILURES_SHOWN]) or 'none'}"
    problems = [
        f"--trial {name}: {f'is {plan.states[name]}, not failed' if name in plan.states else 'no such trial'}; {known}"
        for name in trial_ids or ()
        if name not in failed
    ]
    if problems:
        raise UsageError(*problems)
    return trial_ids or failed


def _run(
    config: SweepConfig,
    executor: ExecutorName | None,
    sweep: str,
    part: Steering,
    only: Collection[str] | None = None,
    changes: Changes = Changes(),  # noqa: B008 - frozen
    rehearsed: bool = True,
) -> int:
    with announced("starting"):
        from orchestrator.sweep import run_sweep

    return run_sweep(config, (executor or ExecutorName.ray).value, sweep, only, changes, part, rehearsed)
