"""What the terminal shows: the plan, progress while a sweep runs, failures, and the verdict."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from analysis.address import without_secrets
from analysis.measures import MEASURES
from analysis.settings import SharpnessSettings
from analysis.terminal import InertConsole, titled
from orchestrator.config.sampling import num_combinations
from orchestrator.events import (
    EpochsDone,
    Event,
    NodeAvoided,
    PoolResized,
    TrialFailed,
    TrialLost,
    TrialMeasured,
    TrialTrained,
)
from orchestrator.store.code import changed_code, versions_of
from orchestrator.store.cost import passes_a_trial
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.trial.specs import TrialSpec

if TYPE_CHECKING:
    from analysis.report.cells import TableCell
    from analysis.report.optimizers import Comparison
    from analysis.report.verdict import VerdictLine
    from orchestrator.config.grid import SubGrid
    from orchestrator.config.sweep_config import SweepConfig
    from orchestrator.store.activity import Activity, NodeActivity
    from orchestrator.store.cost import Cost
    from orchestrator.store.known_sets import DataState
    from orchestrator.store.plan import Plan
    from orchestrator.store.status import Status
    from orchestrator.store.verify import Damage

console = InertConsole(soft_wrap=True)
stderr_console = InertConsole(soft_wrap=True, stderr=True)
MAX_FAILURES_SHOWN = 20


def show_measures() -> None:
    """Every measure of the catalogue, a row each."""
    table = Table(box=None, pad_edge=False)
    for name in ("key", "title", "parameter", "passes", "what it measures"):
        table.add_column(name, no_wrap=name == "key", justify="right" if name == "passes" else "left")
    settings = SharpnessSettings()
    for measure in MEASURES.values():
        passes = "spectra" if measure.spectra or measure.needs_spectra else f"{settings.passes(measure.key):g}"
        table.add_row(measure.key, measure.title, measure.symbol or "", passes, measure.summary)
    console.print(table)
    console.print(
        "Passes: forward passes over the samples for a block, with default settings. Measures from spectra share the "
        "products of these; `renyi plan` counts the passes of a sweep."
    )


def show_data(state: "DataState") -> None:
    """Show which set the data are, and why they can't be used."""
    for note in state.notes:
        console.print(f"  data: {note}", markup=False)
    for problem in (state.problem or "").splitlines():
        console.print(f"  {problem}", markup=False, style="red")


def show_plan(plan: "Plan", data: "DataState | None" = None) -> None:
    """Show the grid, the data, what is done, and the cost of the rest."""
    config = plan.config
    count = f"{len(plan.specs)}" if plan.part_of is None else f"{len(plan.specs)} of {plan.part_of}"
    console.print(titled(config.name, f": {count} trials of {config.model} on {config.data.dataset}"))
    for sub_grid in config.grid:
        console.print(f"  {_sub_grid(sub_grid)}" + (f" × seeds {list(config.seeds)}" if len(config.seeds) > 1 else ""))
    if config.sample is not None:
        size = f"{num_combinations(config.grid, config.seeds):,}".replace(",", " ")
        console.print(f"  sample: {plan.part_of or len(plan.specs)} of {size} combinations, seed {config.sample.seed}")
    show_data(data or plan.data)
    settings = config.sharpness
    console.print(
        f"  measures: {', '.join(settings.measures)} on {settings.samples} samples, {len(settings.orders)} orders"
    )
    passes = ", ".join(f"{count:g} {name}" for name, count in passes_a_trial(settings).items())
    if passes:
        console.print(f"  forward passes over the samples to measure a trial: {passes}")
    if config.shifts:
        console.print(f"  shifts of the test images: {', '.join(config.shifts)}")
    if config.resources.max_concurrent is not None:
        console.print(f"  trials that are trained at once: at most {config.resources.max_concurrent}")
    console.print(f"  states: {_counts(plan) or 'none'}")
    console.print(f"  to do: {_to_do(plan)}")
    places = [config.data.root] if config.data.root else [*config.data.train, *config.data.test]
    if places:
        console.print(f"  data: {', '.join(places)}", markup=False)
    for line in [*versions_of(plan), *changed_code(plan)]:
        console.print(f"  {line}", markup=False, style="yellow")
    console.print(f"  results: {config.folder}\n  tracking: {config.shown_tracking}", markup=False)


def show_status(status: "Status") -> None:
    """Show counts by state, the work of each node, the time that remains, and every failure with its reason."""
    plan, activity = status.plan, status.activity
    console.print(titled(plan.config.name, f": {len(plan.specs)} trials: {_counts(plan)}"))
    if plan.data.problem:
        show_data(plan.data)
    if status.driver is None:
        _paragraph(f"never started; to do: {_to_do(plan)}")
    else:
        _paragraph(f"{'running' if status.running else 'not running; last'}: {status.driver}")
        if not status.done:
            remaining = "" if status.seconds_left is None else f"; about {_duration(status.seconds_left)} left"
            _paragraph(f"to do: {_to_do(plan)}{remaining}")
        for name, node in activity.nodes.items() if activity else ():
            _paragraph(f"{name}: {_node(node)}")
    show_damages(plan.store.folder.uri, status.damages, "the next `renyi run` writes it again")
    show_failures(plan)


def _paragraph(text: str, indent: int = 2) -> None:
    """Show a text in whole words at the width of the terminal; as one line where it is no terminal."""
    if console.is_terminal:
        console.print(Padding(Text(without_secrets(text)), (0, 0, 0, indent)), soft_wrap=False)
    else:
        console.print(" " * indent + text, markup=False)


def show_avoided(activity: "Activity | None") -> None:
    """Show each node that got no more work, and why."""
    for name, node in activity.nodes.items() if activity else ():
        if node.avoided:
            console.print(f"  node {name} was avoided: {node.avoided}", markup=False, style="yellow")


def show_damages(folder: str, damages: "Sequence[Damage]", done: str = "") -> None:
    """Show files that are not what was written, a line each, and what was done about them."""
    for damage in damages:
        console.print(f"{folder}/{damage.path} is damaged: {damage.reason}{done and f'; {done}'}", markup=False)


def show_work(before: "Plan", after: "Plan") -> None:
    """Show in one line what was done between two plans."""
    trained = _newly(before, after, TrialState.TRAINED, TrialState.MEASURED)
    measured = _newly(before, after, TrialState.MEASURED)
    before_missing, after_missing = (sum(map(len, plan.missing_shifts.values())) for plan in (before, after))
    shifted = f", {before_missing - after_missing} evaluated under shifts" if after.config.shifts else ""
    console.print(f"{trained} trained, {measured} measured{shifted}; {len(after.specs)} trials in all")


def _newly(before: "Plan", after: "Plan", *states: TrialState) -> int:
    """How many trials have come to be in these states; those that left them, since a shift failed, do not count."""
    return sum(after.states[each] in states and before.states[each] not in states for each in after.states)


def show_interruption(plan: "Plan") -> None:
    """Show what an interrupted sweep has finished, and how to resume it."""
    measured = plan.counts[TrialState.MEASURED]
    console.print(f"\ninterrupted: {measured}/{len(plan.specs)} trials are measured and kept; the others go on from")
    console.print("their last checkpoint. The same command resumes the sweep.")


def show_stop(plan: "Plan") -> None:
    """Show that a sweep stopped at its first failure, and how it goes on."""
    measured = plan.counts[TrialState.MEASURED]
    console.print(f"stopped at the first failure: {measured}/{len(plan.specs)} trials are measured and kept. The same")
    console.print("command goes on with the others, from their last checkpoints.")


def show_failures(plan: "Plan") -> None:
    """Show each failed trial once, with its reason, and the command that runs it again."""
    if not plan.failed:
        return
    console.print(f"{len(plan.failed)} failed", style="bold red")
    for spec in plan.failed[:MAX_FAILURES_SHOWN]:
        failure = plan.store.failure(spec.trial_id)
        console.print(f"  {spec.trial_id}  {spec.label}", markup=False)
        _paragraph(f"in {failure.stage}: {failure.reason}", 6)
    if len(plan.failed) > MAX_FAILURES_SHOWN:
        console.print(f"  … and {len(plan.failed) - MAX_FAILURES_SHOWN} more")
    console.print(f"  try them again with: renyi retry {plan.config.typed}", markup=False)


def show_warning(text: str) -> None:
    """Show what went wrong beside the sweep and does not affect it."""
    stderr_console.print(text, markup=False, style="yellow")


def show_tracking_trouble(reason: str) -> None:
    """Show that MLflow can't be written, and that the sweep goes on without it."""
    console.print(f"  MLflow can't be written at the moment ({reason});", markup=False)
    console.print("  the sweep goes on. Its results are in the store, and are logged as soon as MLflow answers")


def show_tracking_recovery() -> None:
    """Show that MLflow can be written again."""
    console.print("  MLflow answers again; pending results are being logged")


def show_pending(config: "SweepConfig", pending: int, reason: str) -> None:
    """Show what the record in MLflow lacks at the end of a sweep."""
    console.print(f"not logged: {pending} writes to MLflow at {config.shown_tracking} ({reason}).", markup=False)
    console.print("All results are in the store. Once MLflow answers, this logs what is missing:")
    console.print(f"  renyi run {config.typed}", markup=False)


def show_derived(trial_ids: "Sequence[str]") -> None:
    """Show how many trials needed no new measuring."""
    console.print(f"{len(trial_ids)} measured from stored spectra")


def show_verdict(name: str, lines: "Sequence[VerdictLine]", target: str) -> None:
    """Show the verdict of a sweep or table, one topic on a line."""
    console.print(titled(name, f": Kendall's τ_b with {target}; positive supports a measure"))
    width = max(len(line.topic) for line in lines)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="dim", min_width=width, no_wrap=True)
    table.add_column()
    for line in lines:
        table.add_row(line.topic, line.text)
    console.print(table)


def show_comparison(comparison: "Comparison") -> None:
    """Show the comparison of optimizers in the layout of the paper's table 1, with a note on how it was made."""
    from analysis.report.cells import header, numeric, rows

    table = Table(box=None, padding=(0, 2, 1, 0))
    for column, flush_right in zip(comparison.table.columns, numeric(comparison.table), strict=True):
        table.add_column(header(str(column)), justify="right" if flush_right else "left")
    for row in rows(comparison.table):
        table.add_row(*(_stacked(entry) for entry in row))
    console.print(titled("optimizers", ": test accuracy in %"))
    console.print(table)
    console.print(comparison.note, markup=False, soft_wrap=False)


def _stacked(entry: "TableCell") -> Text:
    """A cell with mean, error and the paper's value on separate lines, so that the table fits a terminal."""
    text = entry.text.replace(" ± ", "\n± ")
    return Text.assemble((text, "bold" if entry.bold else ""), entry.beside.replace(" (", "\n("))


class SweepProgress:
    """Progress of a sweep: bars in a terminal, and everywhere a line for each finished step."""

    def __init__(self, plan: "Plan") -> None:
        self._specs = {spec.trial_id: spec for spec in plan.specs}
        self._store = plan.store
        self._total = len(plan.specs)
        self._trained = plan.counts[TrialState.MEASURED] + plan.counts[TrialState.TRAINED]
        self._measured = plan.counts[TrialState.MEASURED]
        self._failed = plan.counts[TrialState.FAILED]
        self._to_shift = {spec.trial_id for spec in plan.work.to_shift}
        self._started = time.monotonic()
        self._bars = Progress(
            TextColumn("{task.description:>9}", markup=False),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._training = self._bars.add_task("trained", total=self._total, completed=self._trained, note="")
        self._measuring = self._bars.add_task("measured", total=self._total, completed=self._measured, note="")

    def __enter__(self) -> "SweepProgress":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """Show a line about a step that takes some time."""
        self._bars.console.print(f"  {text}", markup=False)

    def update(self, event: Event) -> None:
        """Show what has just happened."""
        if isinstance(event, NodeAvoided):
            self._failed -= len(event.trial_ids)
            self.say(
                f"node {event.node} gets no more work: {len(event.trial_ids)} trials failed on it in a row, the last"
            )
            self.say(f"with {event.reason}; they are tried again on other nodes")
            return
        if isinstance(event, PoolResized):
            self.say(f"the cluster has changed: it now has {event.actors} measuring actors, beside room for a trial")
            return
        spec = self._specs[event.trial_id]
        match event:
            case EpochsDone(epochs=epochs):
                self._bars.update(self._training, note=f"{spec.label}: epoch {epochs[-1].epoch + 1}")
            case TrialLost(node=node):
                self._line("lost", spec, f"its process on {node or 'a node'} died; it goes on from its last checkpoint")
            case TrialTrained():
                self._trained += 1
                self._bars.update(self._training, completed=self._trained)
                self._line("trained", spec, self._outcome(spec, self._store))
            case TrialMeasured() if spec.trial_id in self._to_shift:
                self._line("shifted", spec, "")
            case TrialMeasured():
                self._measured += 1
                self._bars.update(self._measuring, completed=self._measured)
                self._line("measured", spec, "")
            case TrialFailed():
                self._failed += 1
                failure = self._store.failure(spec.trial_id)
                self._line("failed", spec, f"in {failure.stage}: {failure.reason}")

    def _line(self, what: str, spec: TrialSpec, outcome: str) -> None:
        elapsed = int(time.monotonic() - self._started)
        done = f"{self._trained}/{self._total} trained, {self._measured}/{self._total} measured"
        failed = f", {self._failed} failed" if self._failed else ""
        clock = f"{elapsed // 60:d}:{elapsed % 60:02d}"
        self._bars.console.print(f"  {clock}  {done}{failed}  {what:>8}  {spec.label}  {outcome}", markup=False)

    @staticmethod
    def _outcome(spec: TrialSpec, store: TrialStore) -> str:
        result = store.trial(spec.trial_id).read_trained().generalization
        return (
            f"train loss {result.train_loss:.4f}, test accuracy {result.test_accuracy:.3f}, gap {result.gap_loss:.3f}"
        )


def _sub_grid(sub_grid: "SubGrid") -> str:
    parts = [sub_grid.optimizer]
    for axis in sub_grid.axes:
        values = [value[0] if len(value) == 1 else value for value in axis.values]
        names = ", ".join(axis.names)
        name = names if len(axis.names) == 1 else f"({names})"
        parts.append(f"{name} {values[0]}" if len(values) == 1 else f"{name} in {values}")
    return " × ".join(parts)


def _node(node: "NodeActivity") -> str:
    training = ", ".join(f"{trial_id} (epoch {epochs})" for trial_id, epochs in node.training.items())
    measuring = ", ".join(node.measuring)
    done = f"{node.trained} trained, {node.measured} measuring tasks done" + (
        f", {node.failed} failed" if node.failed else ""
    )
    parts = [f"training {training}" if training else "", f"measuring {measuring}" if measuring else "", done]
    avoided = f"; avoided: {node.avoided}" if node.avoided else ""
    return "; ".join(part for part in parts if part) + avoided


def _counts(plan: "Plan") -> str:
    return ", ".join(f"{plan.counts[state]} {state.value}" for state in TrialState if plan.counts[state])


def _to_do(plan: "Plan") -> str:
    """The missing work: its cost, and how many evaluations under shifts."""
    count = plan.num_missing_shifts
    if not count:
        return _cost(plan.cost)
    shifts = f"{count} evaluation{'s' * (count > 1)} of the test set under shifts"
    work = plan.work
    return f"{_cost(plan.cost)}; {shifts}" if work.to_train or work.to_measure else shifts


def _cost(cost: "Cost | None") -> str:
    if cost is None:
        return "cost unknown until the first trial of this network is done"
    if cost.train_seconds + cost.measure_seconds == 0:
        return "nothing"
    source = "from finished trials" if cost.recorded else "estimated"
    device = "one GPU" if cost.gpu else "one core"
    parts = f"training {_duration(cost.train_seconds)} + measuring {_duration(cost.measure_seconds)} of {device}"
    disk = f", {cost.disk_bytes / 1e6:.1f} MB of checkpoints" if cost.disk_bytes else ""
    wall = "" if cost.gpu else f", about {_duration(cost.wall_seconds)} on this machine's {cost.cores} cores"
    return f"{parts} ({source}){wall}{disk}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
