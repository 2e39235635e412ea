"""Commands that look at what there is, and start nothing: shipped sweeps, measures, a plan, a status, the runs."""

import json
import time
from contextlib import nullcontext
from typing import Annotated

import typer

from analysis.errors import closest
from orchestrator.commands.endings import usage_errors
from orchestrator.commands.on_cluster import call_on
from orchestrator.commands.options import ClusterFile, Limit, Only, Storage, Sweep, Tracking, complete_sweep
from orchestrator.commands.part import steering
from orchestrator.config.load import address_options, load, shipped_sweeps
from orchestrator.display import announced, console, show_measures, show_plan, show_status, show_sweep, show_sweeps
from orchestrator.errors import UsageError
from orchestrator.exit_codes import ExitCode
from orchestrator.intervals import STATUS
from orchestrator.store.plan import make_plan
from orchestrator.store.status import read_status


def sweeps(
    name: Annotated[
        str | None,
        typer.Argument(help="One of them, to read more of it.", show_default=False, autocompletion=complete_sweep),
    ] = None,
) -> None:
    """List the sweeps that come with the package, a line each; or say all that there is to say of one.

    Example: `renyi sweeps`, `renyi sweeps digits`
    """
    with usage_errors():
        if name is None:
            show_sweeps()
        elif name in shipped_sweeps():
            show_sweep(name)
        else:
            raise UsageError(f"NAME: no shipped sweep is called {name}; {closest(name, shipped_sweeps())}")


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
        with announced("looking at the storage"):
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
            with nullcontext() if as_json else announced("looking at the storage"):
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


def schema() -> None:
    """Print the JSON schema of sweep files, with which an editor checks and completes a file while you type.

    Write it beside your files, and let each of them name it: `# yaml-language-server: $schema=sweep.schema.json`. The
    sweeps that come with the package do.

    Example: `renyi schema > sweep.schema.json`
    """
    from orchestrator.config.schema import schema_of_sweep_files

    print(json.dumps(schema_of_sweep_files(), indent=1, ensure_ascii=False))  # noqa: T201 - for programs
