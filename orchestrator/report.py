"""`renyi report`: from the results of one or several sweeps to the verdict, the files, and a copy on the parent run."""

import hashlib
import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from analysis.schema import LAYER, MEASURE, PARAMETER, TAU_PREFIX, Measurement, metric_name
from orchestrator.config.expand import expand
from orchestrator.config.grid import values_of_axes
from orchestrator.config.sampling import num_combinations
from orchestrator.config.selection import select
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import announced, console, show_comparison, show_data, show_verdict
from orchestrator.errors import UsageError
from orchestrator.permissions import files_for
from orchestrator.store.closing import REPORT_FOLDER, list_again
from orchestrator.store.known_sets import identify
from orchestrator.store.links import refuse_links
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import TrialState
from orchestrator.study import study_of
from orchestrator.tracking.protocol import LoggedReport
from trainables.trial.manifest import MANIFEST_FILE, checked
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import Folder, open_folder

if TYPE_CHECKING:
    from analysis.report.report import Report
    from analysis.results.sweep import SweepResults
    from orchestrator.tracking.protocol import Tracker

Source = Literal["tracking", "store"]


def report_sweeps(
    configs: Sequence[SweepConfig],
    source: Source = "tracking",
    tracker: "Tracker | None" = None,
    gaps: Sequence[str] = (),
    only: str | None = None,
    trust: bool = False,
    output: Path | None = None,
    quiet: bool = False,
) -> "Report":
    """Judge the measures by the results in MLflow (or in the store), show the verdict, and keep the report.

    The files go to the folder of the first sweep and to its parent run. The folder is called `report` for a single
    sweep; for several, its name contains theirs.

    Args:
        configs: the sweeps, the first of which keeps the report.
        source: where results are read.
        tracker: of the first sweep, where one is open: it logs the files as soon as MLflow answers.
        gaps: what measures are ranked against, as `analysis.results.targets` names it; by default the gap in loss.
        only: conditions on the trials, as `orchestrator.config.selection` reads them. The report of such a part is
            kept beside that of the whole sweep, in a folder of its own.
        trust: ask whatever hosts the runs in MLflow name for their artifacts.
        output: the folder that gets the files, in place of the storage and MLflow, which may not be this reader's.
        quiet: print one line, and not the verdict.

    Raises:
        AnalysisError: an unknown gap, or one that no trial has.
        UsageError: no trial fulfils the conditions, or one of them is wrong.
    """
    from analysis.report.report import build_report
    from analysis.results.targets import LOSS, distinct, target_of

    targets = [target_of(key) for key in distinct(gaps or ("loss",))]

    first, *others = configs = [_identified(config) for config in configs]
    names = [config.name for config in configs]
    words = " ".join(config.typed for config in configs)
    words += f" --only {shlex.quote(only)}" if only is not None else ""
    words += "".join(f" --gap {shlex.quote(key)}" for key in gaps)
    reproduce = [*(f"renyi run {config.typed}" for config in configs), f"renyi report {words}"]
    with announced(f"reading the results from {'MLflow' if source == 'tracking' else 'the storage'}"):
        results = [results_of(config, source, only, trust) for config in configs]
    with announced("judging the measures and drawing the report"):
        report = build_report(results, reproduce, targets)
    if not quiet:
        for name, lines in report.lines.items():
            show_verdict(name, lines, report.targets[name])
        if report.comparison is not None and report.comparison.repeated:
            show_comparison(report.comparison)
    if output is not None:
        _write(open_folder(str(output)), report)
        return report
    name_of_folder = _folder(names, only)
    refuse_links(open_folder(first.folder))
    folder = open_folder(first.folder) / name_of_folder
    with files_for(first.access):
        _write(folder, report)
    if tracker is None:
        list_again(open_folder(first.folder), f"{name_of_folder}/{MANIFEST_FILE}")
    logged = LoggedReport(report.files, report.note, None if others or targets[0] != LOSS else _tau(report))
    if tracker is not None:
        tracker.log_report(logged)
    elif source == "tracking":
        from orchestrator.tracking.experiment import log_report

        log_report(first, logged, name_of_folder if others or only is not None else None)
    if not quiet:
        console.print(f"  review every run in MLflow: renyi ui {first.typed}")
    return report


def _tau(report: "Report") -> dict[str, float]:
    """τ of each headline column with the first of the report's gaps, by the name of a metric: `tau/renyi_1.5/all`."""
    found: dict[str, float] = {}
    rows = report.table[report.table["headline"]]
    for layer, measure, parameter, tau in rows[[LAYER, MEASURE, PARAMETER, "tau_b"]].to_numpy(dtype=object):
        at = None if math.isnan(parameter) else float(parameter)
        name = metric_name(Measurement(str(layer), str(measure), at, None, None))
        found.setdefault(f"{TAU_PREFIX}/{name}", float(tau))
    return found


def _write(folder: Folder, report: "Report") -> None:
    """Write the files of a report, and the manifest of them."""
    there = checked(folder)
    there.delete(MANIFEST_FILE)
    for name, data in report.files.items():
        there.write(name, data)
    there.list_files(report.files)
    console.print(f"  the whole report: {(folder / 'report.html').uri}")


def _identified(config: SweepConfig) -> SweepConfig:
    """The sweep with its data set's fingerprint; says why, if that can't be found."""
    state = identify(config)
    if state.known is None:
        show_data(state)
    return state.config


def _folder(names: Sequence[str], only: str | None) -> str:
    """The name of the folder of a report; different sweeps and conditions have different ones."""
    name = f"{REPORT_FOLDER}-{'-'.join(names)}" if len(names) > 1 else REPORT_FOLDER
    if only is None:
        return name
    digest = hashlib.sha256(only.encode()).hexdigest()[:6]
    return f"{name}-only-{re.sub(r'[^A-Za-z0-9._]+', '-', only)[:60].strip('-')}-{digest}"


def results_of(config: SweepConfig, source: Source, only: str | None = None, trust: bool = False) -> "SweepResults":
    """The results of a sweep, or of the trials that fulfil conditions, as its report is about them.

    Raises:
        UsageError: the sweep has no results, no trial fulfils the conditions, or one of them is wrong.
    """
    chosen = None if only is None else select(expand(config), only)
    return _part(config, _results(config, source, trust), only, chosen)


def _part(
    config: SweepConfig, results: "SweepResults", only: str | None, chosen: Sequence[TrialSpec] | None
) -> "SweepResults":
    """The results as the report is about them: what it must know of a sampled grid, and the chosen trials alone."""
    from analysis.results.sweep import SampledGrid, part_of

    specs = expand(config)
    results = replace(results, study=study_of(config, specs))
    size = num_combinations(config.grid, config.seeds)
    if config.sample is not None and len(specs) < size:
        coupled = {frozenset(axis.names) for sub_grid in config.grid for axis in sub_grid.axes if len(axis.names) > 1}
        grid = SampledGrid(tuple(coupled), values_of_axes(config.grid))
        count = f"{size:,}".replace(",", " ")
        part = f"a random sample of {len(specs)} of the grid's {count} combinations, seed {config.sample.seed}"
        results = replace(results, grid=grid, remarks=(part, *results.remarks))
    if chosen is None:
        return results
    part = f"only those with {only}, {len(chosen)} of the sweep's {len(specs)} trials"
    return part_of(results, [spec.trial_id for spec in chosen], f"{config.name} ({only})", part)


def _results(config: SweepConfig, source: Source, trust: bool) -> "SweepResults":
    from analysis.report.statements import MOST_PAIRED

    if source == "store":
        from orchestrator.store.results import stored_sweep

        plan = make_plan(config)
        if not plan.store.folder.names():
            raise UsageError(
                f"{config.name}: has no results in {config.folder} yet; run it first: renyi run {config.typed}"
            )
        return stored_sweep(plan, spectra=plan.counts[TrialState.MEASURED] <= MOST_PAIRED)
    from orchestrator.tracking.experiment import recorded_sweep

    return recorded_sweep(config, trust)
