"""The command `renyi`: parse, call, print. Heavy imports stay inside the commands that need them."""

import json
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from analysis.errors import AnalysisError
from orchestrator.config.load import SHIPPED, address_options, load, shipped_sweeps
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import (
    MAX_FAILURES_SHOWN,
    console,
    show_failures,
    show_measures,
    show_plan,
    show_status,
    stderr_console,
)
from orchestrator.errors import UsageError
from orchestrator.exit_codes import ExitCode
from orchestrator.intervals import STATUS
from orchestrator.options import (
    Axes,
    ClusterFile,
    Executor,
    ExecutorName,
    FailedTrials,
    Flip,
    Gaps,
    MeasureColumns,
    Output,
    ResultSource,
    Sample,
    Storage,
    Sweep,
    Sweeps,
    Table,
    Tracking,
    TrainingLoss,
    Version,
)
from orchestrator.store.changes import Changes
from orchestrator.store.plan import Plan, make_plan
from orchestrator.store.status import read_status
from trainables.errors import TrainingError

# Read by MLflow when it is imported, in this process and in those it starts.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which sharpness measures predict generalization? Train a grid, measure every network, rank by Kendall's τ."
    "\n\nStart with `renyi run digits`: a whole study in a few minutes, on any laptop.",
)


@app.callback()
def main(version: Version = False) -> None:
    """The options of `renyi` itself; each command follows below."""


@app.command()
def sweeps() -> None:
    """List the sweeps that come with the package, each with its purpose.

    Example: `renyi sweeps`
    """
    for name in shipped_sweeps():
        path = SHIPPED / f"{name}.yaml"
        console.print(f"[bold]{name}[/]  {path}")
        paragraphs = [paragraph.splitlines() for paragraph in path.read_text().split("\n#\n")]
        for line in paragraphs[1]:  # after the command; duration and source follow in the file
            console.print(f"    {line[1:].strip()}", markup=False)


@app.command()
def measures() -> None:
    """List every built-in measure: its key in sweep files, its title, its parameter, and what it measures.

    Example: `renyi measures`
    """
    show_measures()


@app.command()
def plan(sweep: Sweep, storage: Storage = None, tracking: Tracking = None) -> None:
    """Show the grid, what is done already, and the cost of the rest. Runs nothing.

    Example: `renyi plan digits`
    """
    with usage_errors():
        show_plan(make_plan(load(sweep, storage, tracking)))


@app.command()
def run(
    sweep: Sweep,
    executor: Executor = None,
    storage: Storage = None,
    tracking: Tracking = None,
    cluster: ClusterFile = None,
) -> None:
    """Train and measure every trial that is missing, log to MLflow, and rank the measures.

    The same command resumes an interrupted sweep. After a grid was extended, it runs the new trials only.

    Exit code: 0 all measured, 1 some trials failed, 2 bad input, 130 interrupted.

    With `--cluster` the sweep runs there as a Ray job. Its output is shown here; Ctrl-C leaves the job running.

    Example: `renyi run digits`, `renyi run my_sweep.yaml --cluster cluster.yaml`
    """
    with usage_errors():
        if cluster:
            _run_on(cluster, executor, sweep, ["run", *address_options(storage, tracking)])
        config = load(sweep, storage, tracking)
        raise typer.Exit(_run(config, executor, sweep))


@app.command()
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
            _call_on(cluster, [sweep], "status", [*shown, *address_options(storage, tracking)])
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


@app.command()
def retry(
    sweep: Sweep,
    trial: FailedTrials = None,
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
            named = [word for name in trial or () for word in ("--trial", name)]
            _run_on(cluster, executor, sweep, ["retry", *named, *address_options(storage, tracking)])
        config = load(sweep, storage, tracking)
        before = make_plan(config)
        chosen = chosen_failures(before, trial)
        show_failures(before)
        raise typer.Exit(_run(config, executor, sweep, chosen, Changes(forget_failures=tuple(chosen))))


@app.command()
def remeasure(
    sweep: Sweep,
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
            _run_on(cluster, executor, sweep, ["remeasure", *address_options(storage, tracking)])
        config = load(sweep, storage, tracking)
        work = make_plan(config).work
        trained = [spec.trial_id for spec in [*work.to_measure, *work.to_shift]]
        raise typer.Exit(_run(config, executor, sweep, trained, Changes(derive_measurements=True)))


@app.command()
def report(
    sweeps: Sweeps = None,
    storage: Storage = None,
    tracking: Tracking = None,
    source: Annotated[
        ResultSource,
        typer.Option(help="Read results from MLflow (`tracking`) or from the storage (`store`)."),
    ] = ResultSource.tracking,
    gap: Gaps = None,
    cluster: ClusterFile = None,
    table: Table = None,
    axes: Axes = None,
    training_loss: TrainingLoss = None,
    measures: MeasureColumns = None,
    flip: Flip = None,
    sample: Sample = None,
    output: Output = None,
) -> None:
    """Show which measures predict the gap, how certain that is, and what is not resolved.

    Prints the verdict in ten lines. Writes tables, figures and a page (`report.html`) beside the results, and logs
    them to the first sweep's parent run. Several sweeps are compared on one page.

    With `--table` it judges anybody's models: a CSV or Parquet file with one row a model. The columns that were taken
    as measures are named, and why others were not.

    Example: `renyi report digits --gap loss --gap error`, `renyi report cifar10.yaml cifar100.yaml`,
    `renyi report --table models.csv --axes lr,wd,optimizer --gap gap --training-loss train_loss`
    """
    with usage_errors():
        of_table = {"--axes": axes, "--training-loss": training_loss, "--measures": measures, "--flip": flip}
        of_sweep = {"SWEEP": sweeps, "--storage": storage, "--tracking": tracking, "--cluster": cluster}
        check_options(table is not None, of_sweep, {**of_table, "--sample": sample, "--output": output})
        if table is not None:
            from orchestrator.report_table import report_table

            report_table(table, axes or [], gap or [], training_loss, measures, flip or [], output, sample)
            return
        words = sweeps or []
        if cluster:
            chosen = [word for key in gap or () for word in ("--gap", key)]
            options = [*address_options(storage, tracking), "--source", source.value, *chosen]
            _call_on(cluster, words, "report", options)
        configs = [load(sweep, storage, tracking) for sweep in words]
        from orchestrator.report import report_sweeps

        report_sweeps(configs, source.value, gaps=gap or ())


@app.command()
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


@app.command()
def stop(
    sweep: Sweep, cluster: Annotated[str, typer.Option(help="The launcher file of the cluster that runs it.")]
) -> None:
    """End a sweep that runs on a cluster. Its trials keep their last checkpoints, and `renyi run` resumes it.

    Example: `renyi stop digits --cluster cluster.yaml`
    """
    with usage_errors():
        from orchestrator.remote.cluster import stop_sweep_on

        raise typer.Exit(stop_sweep_on(cluster, sweep))


@app.command()
def preflight(sweep: Sweep, storage: Storage = None, tracking: Tracking = None, cluster: ClusterFile = None) -> None:
    """Check that every node of a cluster can take part in a sweep: versions, storage, data, tracking, GPUs, clocks.

    `renyi run` does the same before the first trial. Exit code: 0 no problem, 2 with a line for each problem.

    Example: `renyi preflight digits --cluster cluster.yaml`
    """
    with usage_errors():
        if cluster:
            _call_on(cluster, [sweep], "preflight", address_options(storage, tracking))
        from orchestrator.executors.ray.preflight import preflight as check

        check(load(sweep, storage, tracking))


@app.command()
def measure(
    file: Annotated[
        Path,
        typer.Argument(help="The last.pt of a trial; or, with --model, a state dict (.pt, .pth) or safetensors file."),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="A callable without arguments that builds the network of a state dict, e.g. `my_module:build`; "
            "modules of the current folder are found.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Samples for --model: an .npz file with arrays `inputs` and `targets`, or a Parquet file or glob with "
            "columns `image` and `label`, whose pixels are normalized by their mean and deviation.",
            show_default=False,
        ),
    ] = None,
    loss: Annotated[str, typer.Option(help="`cross_entropy`, `mse`, `bce`, or `my_module:loss`.")] = "cross_entropy",
    measures: Annotated[
        str | None,
        typer.Option(help="Measures, separated by commas; `renyi measures` lists them.", show_default=False),
    ] = None,
    samples: Annotated[int, typer.Option(help="Samples to measure on, at most.")] = 200,
    orders: Annotated[
        str, typer.Option(help="Orders of the Rényi entropy, separated by commas, or `paper`.")
    ] = "0.5,1.5",
) -> None:
    """Measure one network and print every measure. No sweep, no Ray, no MLflow.

    Example: `renyi measure ~/renyi/digits/trials/0105ba9dbfe1/last.pt --samples 500`,
    `renyi measure net.safetensors --model my_module:build --data samples.npz`
    """
    with usage_errors():
        from orchestrator.measure import Request, measure_file

        measure_file(Request(file, model, data, loss, measures, samples, orders))


@contextmanager
def usage_errors() -> Iterator[None]:
    """End the command with a message and BAD_INPUT where the input is wrong, and with INTERRUPTED after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt as error:
        stderr_console.print("interrupted; the same command resumes it")
        raise typer.Exit(ExitCode.INTERRUPTED) from error
    except (UsageError, AnalysisError, TrainingError) as error:
        stderr_console.print(str(error), markup=False, style="red")
        raise typer.Exit(ExitCode.BAD_INPUT) from error


def check_options(of_a_table: bool, for_sweeps: Mapping[str, object], for_tables: Mapping[str, object]) -> None:
    """Refuse options of `report` that do not fit together.

    Raises:
        UsageError: a line for each.
    """
    wrong, fits = (for_sweeps, "a sweep") if of_a_table else (for_tables, "--table")
    problems = [f"{name}: is for {fits}; leave it out here" for name, given in wrong.items() if given is not None]
    if not of_a_table and not for_sweeps["SWEEP"]:
        problems.insert(0, "SWEEP: is missing; name a sweep, or give a table of models with --table")
    if problems:
        raise UsageError(*problems)


def _run_on(cluster: str, executor: ExecutorName | None, sweep: str, command: list[str]) -> NoReturn:
    """Run a command about a sweep as a Ray job of a cluster, and end with its exit code."""
    if executor is not None:
        raise UsageError("--executor: a cluster runs trials with its own Ray; leave the option out with --cluster")
    from orchestrator.remote.cluster import run_sweep_on

    raise typer.Exit(run_sweep_on(cluster, sweep, command))


def _call_on(cluster: str, sweeps: list[str], command: str, options: list[str]) -> NoReturn:
    """Run a short command about sweeps on the head of a cluster, and end with its exit code."""
    from orchestrator.remote.cluster import call_on

    raise typer.Exit(call_on(cluster, sweeps, [command], options))


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
    only: Collection[str] | None = None,
    changes: Changes = Changes(),  # noqa: B008 - frozen
) -> int:
    from orchestrator.sweep import run_sweep

    return run_sweep(config, (executor or ExecutorName.ray).value, sweep, only, changes)


if __name__ == "__main__":
    app()
