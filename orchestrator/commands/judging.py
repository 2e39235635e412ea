"""Commands about results: the report of sweeps or of a table, and the measures of a single network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.commands.endings import usage_errors
from orchestrator.commands.on_cluster import call_on
from orchestrator.commands.options import (
    Axes,
    ClusterFile,
    Flip,
    Gaps,
    MeasureColumns,
    Only,
    Output,
    ResultSource,
    Sample,
    Storage,
    Sweep,
    Sweeps,
    Table,
    Tracking,
    TrainingLoss,
    Trust,
)
from orchestrator.commands.part import words
from orchestrator.config.load import address_options, load
from orchestrator.display import announced, say
from orchestrator.errors import UsageError


def report(
    sweeps: Sweeps = None,
    storage: Storage = None,
    tracking: Tracking = None,
    source: Annotated[
        ResultSource,
        typer.Option(help="Read results from MLflow (`tracking`) or from the storage (`store`)."),
    ] = ResultSource.tracking,
    gap: Gaps = None,
    only: Only = None,
    watch: Annotated[
        bool | None,
        typer.Option(
            "--watch",
            help="Write the page from the storage again each minute while the sweep runs, until all is done.",
            show_default=False,
        ),
    ] = None,
    cluster: ClusterFile = None,
    table: Table = None,
    axes: Axes = None,
    training_loss: TrainingLoss = None,
    measures: MeasureColumns = None,
    flip: Flip = None,
    sample: Sample = None,
    output: Output = None,
    trust: Trust = False,
) -> None:
    """Show which measures predict the gap, how certain that is, and what is not resolved.

    Prints the verdict in ten lines. Writes tables, figures and a page (`report.html`) beside the results, and logs
    them to the first sweep's parent run. Several sweeps are compared on one page.

    With `--only` it judges a part of the trials, says so, and is kept beside the report of the whole sweep.

    With `--table` it judges anybody's models: a CSV or Parquet file with one row a model. The columns that were taken
    as measures are named, and why others were not.

    With `--watch` the page is written each minute from the storage while a sweep runs; it marks partial results.

    Example: `renyi report digits --gap loss --gap error`, `renyi report cifar10.yaml cifar100.yaml`,
    `renyi report --table models.csv --axes lr,wd,optimizer --gap gap --training-loss train_loss`
    """
    with usage_errors():
        of_table = {"--axes": axes, "--training-loss": training_loss, "--measures": measures, "--flip": flip}
        of_sweep: dict[str, object] = {"SWEEP": sweeps, "--storage": storage, "--tracking": tracking}
        of_sweep |= {"--cluster": cluster, "--only": only, "--watch": watch or None, "--trust": trust or None}
        check_options(table is not None, of_sweep, {**of_table, "--sample": sample})
        if table is not None:
            from orchestrator.report_table import report_table

            report_table(table, axes or [], gap or [], training_loss, measures, flip or [], output, sample)
            return
        named = sweeps or []
        if cluster and watch:
            raise UsageError("--watch: reads the storage from here; with --cluster, run it on the cluster's head")
        if cluster:
            chosen = [word for key in gap or () for word in ("--gap", key)]
            options = [*address_options(storage, tracking), "--source", source.value, *chosen, *words(only)]
            options += ["--trust"] if trust else []
            call_on(cluster, named, "report", options)
        configs = [load(sweep, storage, tracking) for sweep in named]
        if watch:
            from orchestrator.watch import watch as watch_sweeps

            watch_sweeps(configs, gap or (), only)
            return
        with announced("starting"):
            from orchestrator.report import report_sweeps

        report_sweeps(configs, source.value, gaps=gap or (), only=only, trust=trust, output=output)


def export(
    sweep: Sweep,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="The file; left out, NAME.zip in the current folder.", show_default=False),
    ] = None,
    storage: Storage = None,
    tracking: Tracking = None,
) -> None:
    """Write a sweep into one zip file that anybody can check: settings, versions, measurements, spectra, report.

    A script in it computes the report's tables again from the measurements, with pandas, pyarrow and scipy alone.

    Example: `renyi export digits`, `renyi export my_sweep.yaml --output appendix.zip`
    """
    with usage_errors():
        config = load(sweep, storage, tracking)
        path = output or Path(f"{config.name}.zip")
        with announced("reading the measurements and drawing the report"):
            from orchestrator.export.bundle import export_sweep

            names = export_sweep(config, path)
        say(f"{path}: {len(names)} files, {path.stat().st_size / 1e6:.1f} MB", 0, whole=True)
        say("to check its tables: unpack it, and run recompute.py there")


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
    trust: Trust = False,
) -> None:
    """Measure one network and print every measure. No sweep, no Ray, no MLflow.

    A checkpoint names its network and its data. Networks of yours are code, and addresses may ask for your credentials:
    both are used with `--trust` alone.

    Example: `renyi measure ~/renyi/digits/trials/0105ba9dbfe1/last.pt --samples 500`,
    `renyi measure net.safetensors --model my_module:build --data samples.npz`
    """
    with usage_errors():
        with announced("starting"):  # torch takes seconds to import
            from orchestrator.measure import Request, measure_file

        measure_file(Request(file, model, data, loss, measures, samples, orders, trust))


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
