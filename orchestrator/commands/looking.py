"""Commands that look at what there is, and start nothing: shipped sweeps, measures, a plan, a status, the runs."""

import json
import time
from typing import Annotated

import typer

from analysis.terminal import titled
from orchestrator.commands.endings import usage_errors
from orchestrator.commands.on_cluster import call_on
from orchestrator.commands.options import ClusterFile, Limit, Only, Storage, Sweep, Tracking
from orchestrator.commands.part import steering
from orchestrator.config.load import SHIPPED, address_options, load, shipped_sweeps
from orchestrator.display import console, show_measures, show_plan, show_status
from orchestrator.exit_codes import ExitCode
from orchestrator.intervals import STATUS
from orchestrator.store.plan import make_plan
from orchestrator.store.status import read_status


def sweeps() -> None:
    """List the sweeps that come with the package, each with its purpose.

    Example: `renyi sweeps`
    """
    for name in shipped_sweeps():
        path = SHIPPED / f"{name}.yaml"
        console.print(titled(name, f"  {path}"))
        paragraphs = [paragraph.splitlines() for paragraph in path.read_text().split("\n#\n")]
        for line in paragraphs[1]:  # after the command; duration and source follow in the file
            console.print(f"    {line[1:].strip()}", markup=False)


def measures() -> None:
    """List every built-in measure: its key in sweep files, its title, its parameter, and what it measures.

    Example: `renyi measures`
    """
    show_measures()


def plan(
    sweep: Sweep, only: Only = None, limit: Limit = None, storage: Storage = None, tracking: Tracking = None
) -> None:
    """Show the grid, what is done already, and the cost of the rest. Runs nothing.

    With `--only` and `--limit`: of the part that `renyi run` would work on with the same options.

    Example: `renyi plan digits`, `renyi plan digits --only 'learning_rate>0.01' --limit 5`
    """
    with usage_errors():
        config = load(sweep, storage, tracking)
        found = make_plan(config)
        show_plan(steering(config, only, limit).part(found))
        if found.data.problem and found.data.known is None:
            raise typer.Exit(ExitCode.BAD_INPUT)


def status(
    sweep: Sweep,
    watch: Annotated[bool, typer.Option(help="Repeat it every few seconds until all is done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    storage: Storage = None,
    tracking: Tracking = None,
    cluster: ClusterFile = None,
) -> None:
    """Count the trials by state, and show what each node is doing, how much time remains, and why trials failed.

    Example: `renyi status digits --watch`, `renyi status digits --cluster cluster.yaml`
    """
    with usage_errors():
        if cluster:
            shown = [*(["--watch"] if watch else []), *(["--json"] if as_json else [])]
            call_on(cluster, [sweep], "status", [*shown, *address_options(storage, tracking)])
        config = load(sweep, storage, tracking)
        while True:
            found = read_status(config)
            if as_json:
                print(json.dumps(found.to_json()), flush=True)  # noqa: T201 - for programs, not for the console's width
            else:
                if watch:
                    console.clear()
                show_status(found)
            if not watch or found.done:
                return
            time.sleep(STATUS)


def ui(
    sweep: Sweep,
    storage: Storage = None,
    tracking: Tracking = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is reachable from this machine only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5000,
    cluster: ClusterFile = None,
) -> None:
    """Serve the sweep's runs in the MLflow UI, and print the address. Ctrl-C ends it.

    With `--cluster`: open a tunnel to the server on the cluster's head.

    Example: `renyi ui digits --port 5001`
    """
    with usage_errors():
        if cluster:
            from orchestrator.remote.cluster import show_ui_of

            raise typer.Exit(show_ui_of(cluster, sweep, port))
        config = load(sweep, storage, tracking)
        from orchestrator.tracking.ui import serve

        raise typer.Exit(serve(config, host, port))
