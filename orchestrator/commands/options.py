"""The arguments and options that several commands of `renyi` share, and how a shell completes them."""

from collections.abc import Iterable
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from analysis.duration import seconds_of
from orchestrator.config.load import load, shipped_sweeps
from orchestrator.display import console
from orchestrator.errors import UsageError
from orchestrator.store.plan import make_plan
from trainables.errors import StorageError


class ExecutorName(StrEnum):
    """Where trials run."""

    ray = "ray"
    inline = "inline"


class ResultSource(StrEnum):
    """Where a report's results are read."""

    tracking = "tracking"
    store = "store"


def complete_sweep(incomplete: str) -> list[str]:
    """The names of shipped sweeps; where none begins like this, shells complete the names of files."""
    return [name for name in shipped_sweeps() if name.startswith(incomplete)]


def complete_failed_trial(context: typer.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    """The ids of the failed trials of the sweep named before, each with what identifies it to people."""
    sweep, storage, tracking = (context.params.get(name) for name in ("sweep", "storage", "tracking"))
    if sweep is None and context.args:
        sweep = context.args[0]  # an option without its value, as here, keeps arguments from being assigned
    if sweep is None:
        return []
    try:
        failed = make_plan(load(sweep, storage, tracking)).failed
    except (UsageError, StorageError):
        return []
    return [(spec.trial_id, spec.label) for spec in failed if spec.trial_id.startswith(incomplete)]


def time_limit_of(text: str | None) -> float | None:
    """The seconds of a time limit.

    Raises:
        UsageError: it is no duration, or not positive.
    """
    if text is None:
        return None
    try:
        seconds = float(seconds_of(text))
    except ValueError as error:
        raise UsageError(f"--time-limit {text}: {error}") from error
    if seconds <= 0:
        raise UsageError(f"--time-limit {text}: must be longer than 0")
    return seconds


def show_version(wanted: bool) -> None:
    """Print the version and end the command."""
    if wanted:
        console.print(f"renyi {version('renyi-sharpness')}")
        raise typer.Exit


Sweep = Annotated[
    str,
    typer.Argument(
        help="A sweep file (YAML), or the name of a shipped sweep.", show_default=False, autocompletion=complete_sweep
    ),
]
Sweeps = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SWEEP...",
        help="Sweep files, or names of shipped sweeps; none with `--table`.",
        show_default=False,
        autocompletion=complete_sweep,
    ),
]
FailedTrials = Annotated[
    list[str] | None,
    typer.Option(
        "--trial",
        help="Only this trial, by the id that `status` shows; may be given several times.",
        show_default=False,
        autocompletion=complete_failed_trial,
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Folder or address (s3://, gs://) for results, in place of the one in the file.", show_default=False
    ),
]
Tracking = Annotated[
    str | None,
    typer.Option(help="Address of the MLflow server or database, in place of the one in the file.", show_default=False),
]
Executor = Annotated[
    ExecutorName | None,
    typer.Option(
        help="`ray`, the default: all of this machine, or the cluster at RAY_ADDRESS. `inline`: one worker beside this "
        "process, whose output is shown, for debugging.",
        show_default=False,
    ),
]
ClusterFile = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="A file of Ray's cluster launcher, e.g. cluster.yaml: run the command on that cluster.",
        show_default=False,
    ),
]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="End the sweep after this time, such as 90s, 30min or 8h, as Ctrl-C does; the same command resumes it.",
        show_default=False,
    ),
]
WithRehearsal = Annotated[
    bool, typer.Option(help="Try every network with its optimizer on a few images before anything starts.")
]
Only = Annotated[
    str | None,
    typer.Option(
        "--only",
        help="Only trials with these parameters: conditions separated by commas, each with =, !=, <, <=, > or >=; "
        "several values as `a|b`; `null` for what is not set. Example: 'optimizer=sgd|sam,learning_rate>0.01'.",
        show_default=False,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1, help="Only the first so many of the missing trials, in the order of the grid.", show_default=False
    ),
]
FailFast = Annotated[
    bool,
    typer.Option("--fail-fast", help="Stop when a trial has failed, with exit code 1; the others keep what they have."),
]
AcceptChangedCode = Annotated[
    bool,
    typer.Option(
        "--accept-changed-code",
        help="Go on although the code of your own network or measures is not the one that made the trials so far.",
    ),
]
Gaps = Annotated[
    list[str] | None,
    typer.Option(
        "--gap",
        help="What measures are ranked against: `loss` (test − training loss, the default), `error`, `test_error`, or "
        "`shift:NAME`, a shift that the sweep file asks for; of a table, a column. May be given several times: each "
        "has its own tables.",
        show_default=False,
    ),
]
Table = Annotated[
    Path | None,
    typer.Option(
        "--table", help="A CSV or Parquet file with one row a model, in place of a sweep.", show_default=False
    ),
]
Axes = Annotated[
    list[str] | None,
    typer.Option(
        "--axes",
        help="Columns of the table that are hyperparameters, separated by commas. Rows with equal ones are repeats of "
        "one configuration; a column `seed` only tells repeats apart.",
        show_default=False,
    ),
]
TrainingLoss = Annotated[
    str | None,
    typer.Option("--training-loss", help="The column of the table that is the training loss.", show_default=False),
]
MeasureColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--measures",
        help="Columns of the table to rank, separated by commas; left out, every numeric column that is nothing else.",
        show_default=False,
    ),
]
Flip = Annotated[
    list[str] | None,
    typer.Option(
        "--flip", help="Measures of the table for which larger means flatter, separated by commas.", show_default=False
    ),
]
Sample = Annotated[
    int | None,
    typer.Option(
        "--sample",
        min=1,
        help="Judge a random draw of at most this many models of the table; the verdict says so. Of more than 1000 "
        "models only τ and its intervals are computed, without tests.",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        help="The folder for the report. Left out: of a table, `NAME-report` beside the file; of a sweep, its folder "
        "in the storage, and MLflow, which must then be yours to write.",
        show_default=False,
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run the code, and ask the addresses with your credentials, that the checkpoint or the record in MLflow "
        "names: for what you made yourself, or would run as a script.",
    ),
]
Version = Annotated[
    bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=show_version)
]
