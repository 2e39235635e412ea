"""Commands carried out on a cluster (`--cluster`): the words that are sent there."""

from typing import NoReturn

import typer

from orchestrator.commands.options import ExecutorName
from orchestrator.errors import UsageError


def run_on(cluster: str, executor: ExecutorName | None, sweep: str, command: list[str]) -> NoReturn:
    """Run a command about a sweep as a Ray job of a cluster, and end with its exit code."""
    if executor is not None:
        raise UsageError("--executor: a cluster runs trials with its own Ray; leave the option out with --cluster")
    from orchestrator.remote.cluster import run_sweep_on

    raise typer.Exit(run_sweep_on(cluster, sweep, command))


def call_on(cluster: str, sweeps: list[str], command: str, options: list[str]) -> NoReturn:
    """Run a short command about sweeps on the head of a cluster, and end with its exit code."""
    from orchestrator.remote.cluster import call_on

    raise typer.Exit(call_on(cluster, sweeps, [command], options))
