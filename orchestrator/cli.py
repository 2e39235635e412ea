"""The command `renyi`: its commands in the order of its help. Heavy imports stay inside the commands that need them."""

import os

import typer

from orchestrator.commands.judging import export, measure, report
from orchestrator.commands.keeping import clean, list_
from orchestrator.commands.looking import measures, plan, schema, status, sweeps, ui
from orchestrator.commands.options import Version
from orchestrator.commands.running import preflight, remeasure, retry, run, stop
from orchestrator.commands.verifying import diff, lineage, verify

# Read by MLflow when it is imported, in this process and in those it starts.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

COMMANDS = (
    sweeps,
    measures,
    schema,
    plan,
    run,
    status,
    retry,
    remeasure,
    report,
    export,
    ui,
    list_,
    clean,
    verify,
    lineage,
    diff,
    stop,
    preflight,
    measure,
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which sharpness measures predict generalization? Train a grid, measure every network, rank by Kendall's τ."
    "\n\nStart with `renyi run digits`: a whole study in a few minutes, on any laptop.",
)
for command in COMMANDS:
    app.command(command.__name__.rstrip("_"))(command)


@app.callback()
def main(version: Version = False) -> None:
    """The options of `renyi` itself; its commands follow."""


if __name__ == "__main__":
    app()
