"""`renyi report`: from the results of one or several sweeps to the verdict, the files, and a copy on the parent run."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import console, show_comparison, show_verdict
from orchestrator.store.closing import REPORT_FOLDER, list_again
from orchestrator.store.plan import make_plan
from trainables.trial.manifest import MANIFEST_FILE, checked
from trainables.trial.storage import open_folder

if TYPE_CHECKING:
    from analysis.report.report import Report
    from analysis.results.sweep import SweepResults
    from orchestrator.tracking.protocol import Tracker

Source = Literal["tracking", "store"]


def report_sweeps(
    configs: Sequence[SweepConfig],
    commands: Sequence[str] = (),
    source: Source = "tracking",
    tracker: "Tracker | None" = None,
    gaps: Sequence[str] = (),
) -> "Report":
    """Judge the measures by the results in MLflow (or in the store), show the verdict, and keep the report.

    The files go to the folder of the first sweep and to its parent run. The folder is called `report` for a single
    sweep; for several, its name contains theirs.

    Args:
        configs: the sweeps, the first of which keeps the report.
        commands: what the user typed for each sweep, for the page's last section; by default the sweeps' names.
        source: where results are read.
        tracker: of the first sweep, where one is open: it logs the files as soon as MLflow answers.
        gaps: what measures are ranked against, as `analysis.results.targets` names it; by default the gap in loss.

    Raises:
        AnalysisError: an unknown gap, or one that no trial has.
    """
    from analysis.report.report import build_report
    from analysis.results.targets import distinct, target_of

    targets = [target_of(key) for key in distinct(gaps or ("loss",))]

    first, *others = configs
    names = [config.name for config in configs]
    words = " ".join(shlex.quote(command) for command in commands or names)
    words += "".join(f" --gap {shlex.quote(key)}" for key in gaps)
    reproduce = [*(f"renyi run {shlex.quote(command)}" for command in commands or names), f"renyi report {words}"]
    report = build_report([_results(config, source) for config in configs], reproduce, targets)
    for name, lines in report.lines.items():
        show_verdict(name, lines, report.targets[name])
    if report.comparison is not None and report.comparison.repeated:
        show_comparison(report.comparison)
    name_of_folder = f"{REPORT_FOLDER}-{'-'.join(names)}" if others else REPORT_FOLDER
    folder = checked(open_folder(first.folder) / name_of_folder)
    folder.delete(MANIFEST_FILE)
    for name, data in report.files.items():
        folder.write(name, data)
    folder.list_files(report.files)
    if tracker is None:
        list_again(open_folder(first.folder), f"{name_of_folder}/{MANIFEST_FILE}")
    if tracker is not None:
        tracker.log_report(report.files, report.note)
    elif source == "tracking":
        from orchestrator.tracking.experiment import log_report

        log_report(first, report.files, report.note, name_of_folder if others else None)
    console.print(f"  the whole report: {(folder / 'report.html').uri}")
    console.print(f"  review every run in MLflow: renyi ui {first.name}")
    return report


def _results(config: SweepConfig, source: Source) -> "SweepResults":
    if source == "store":
        from orchestrator.store.results import stored_sweep

        return stored_sweep(make_plan(config))
    from orchestrator.tracking.experiment import recorded_sweep

    return recorded_sweep(config)
