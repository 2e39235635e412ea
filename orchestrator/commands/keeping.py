"""Commands about what is kept: every sweep of a storage or a tracking server, and what of a sweep can be removed."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from orchestrator.commands.endings import usage_errors
from orchestrator.commands.on_cluster import call_on
from orchestrator.commands.options import ClusterFile, Storage, Sweep, Tracking
from orchestrator.config.load import address_options, load
from orchestrator.config.locations import storage_of, tracking_of
from orchestrator.display import console
from orchestrator.keeping_tables import ASKED, show_list, show_removals
from orchestrator.store.cleaning import Kind, removals, remove
from orchestrator.store.closing import close_sweep, reopen_sweep
from orchestrator.store.lease import Lease, current_driver
from orchestrator.store.listing import ListedSweep, list_sweeps
from orchestrator.store.plan import make_plan
from trainables.trial.storage import open_folder


def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list, for programs.")] = False,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Folder or address (s3://, gs://) of the sweeps. Left out: the environment variable RENYI_STORAGE, or "
            "~/renyi.",
            show_default=False,
        ),
    ] = None,
    tracking: Annotated[
        str | None,
        typer.Option(
            help="Address of an MLflow server or database: list the sweeps recorded there, in place of a storage.",
            show_default=False,
        ),
    ] = None,
    cluster: ClusterFile = None,
) -> None:
    """List every sweep of a storage or a tracking server: its trials by state, its dates, the disk it takes.

    Without a sweep file, the trials that a file asked for are those of its last `renyi run`.

    Example: `renyi list`, `renyi list --storage s3://bucket/sweeps`, `renyi list --tracking http://mlflow.example:5000`
    """
    with usage_errors():
        if cluster:
            call_on(cluster, [], "list", [*(["--json"] if as_json else []), *address_options(storage, tracking)])
        found: Sequence[ListedSweep] = []
        place = ""
        if storage is not None or tracking is None:
            place = storage_of(storage)
            found = list_sweeps(open_folder(place))
        if tracking is not None:
            from orchestrator.tracking.listing import list_recorded

            tracking = tracking_of(tracking)
            found = [*found, *list_recorded(tracking)]
            place = f"{place} and {tracking}" if place else tracking
        if as_json:
            print(json.dumps([sweep.to_json() for sweep in found]))  # noqa: T201 - for programs
        else:
            show_list(found, place)


def clean(
    sweep: Sweep,
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help=ASKED[Kind.CHECKPOINTS])] = False,
    other_trials: Annotated[bool, typer.Option("--other-trials", help=ASKED[Kind.OTHER_TRIALS])] = False,
    old_measurements: Annotated[bool, typer.Option("--old-measurements", help=ASKED[Kind.OLD_MEASUREMENTS])] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it. Without this option nothing is removed.")] = False,
    storage: Storage = None,
    tracking: Tracking = None,
    cluster: ClusterFile = None,
) -> None:
    """Show what of a sweep's folder can be removed, how much that frees, and what can't be had afterwards.

    With `--yes` it is removed, unless the sweep runs. Without the names of kinds, all kinds are meant. Runs in MLflow
    are kept.

    Example: `renyi clean digits`, `renyi clean digits --checkpoints --yes`
    """
    with usage_errors():
        given = zip(Kind, (checkpoints, other_trials, old_measurements), strict=True)
        kinds = [kind for kind, wanted in given if wanted]
        if cluster:
            named = [*(f"--{kind.value}" for kind in kinds), *(["--yes"] if yes else [])]
            call_on(cluster, [sweep], "clean", [*named, *address_options(storage, tracking)])
        config = load(sweep, storage, tracking)
        plan = make_plan(config)
        wanted = [each for each in removals(plan) if each.kind in (kinds or Kind)]
        if not yes or not any(each.items for each in wanted):
            driver = current_driver(plan.store.folder)
            show_removals(plan, wanted)
            if any(each.items for each in wanted):
                running = driver is not None and driver.is_at_work
                console.print(
                    "nothing is removed while the sweep runs" if running else "nothing was removed; --yes removes it"
                )
            return
        with Lease(open_folder(config.folder), f"renyi clean {sweep}") as lease:
            plan = make_plan(config)  # anew: a driver may have worked on it since
            wanted = [each for each in removals(plan) if each.kind in (kinds or Kind)]
            show_removals(plan, wanted)
            closed = reopen_sweep(plan.store.folder)
            for each in wanted:
                remove(plan.store, each)
            if closed:
                close_sweep(plan.store.folder, lease.number)
                lease.closed = True
        console.print("removed")
