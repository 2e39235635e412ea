"""The plan of a sweep: its grid, its data, what is done, what is missing, and what that costs."""

from typing import TYPE_CHECKING

from analysis.measures import MEASURES, is_all
from orchestrator.config.grid import in_words
from orchestrator.config.sampling import num_combinations
from orchestrator.display.terminal import duration, say
from orchestrator.store.code import changed_code, versions_of
from orchestrator.store.cost import passes_a_trial
from orchestrator.store.trial_store import TrialState

if TYPE_CHECKING:
    from orchestrator.store.cost import Cost
    from orchestrator.store.known_sets import DataState
    from orchestrator.store.plan import Plan


def show_data(state: "DataState") -> None:
    """Show which set the data are, and why they can't be used."""
    for note in state.notes:
        say(f"data: {note}")
    for problem in (state.problem or "").splitlines():
        say(problem, style="red")


def show_plan(plan: "Plan", data: "DataState | None" = None) -> None:
    """Show the grid, the data, what is done, and the cost of the rest."""
    config = plan.config
    count = f"{len(plan.specs)}" if plan.part_of is None else f"{len(plan.specs)} of {plan.part_of}"
    say(f"{config.name}: {count} trials of {config.model} on {config.data.dataset}", 0, bold=config.name)
    for sub_grid in config.grid:
        say(in_words(sub_grid) + (f" × seeds {list(config.seeds)}" if len(config.seeds) > 1 else ""))
    if config.sample is not None:
        size = f"{num_combinations(config.grid, config.seeds):,}".replace(",", " ")
        say(f"sample: {plan.part_of or len(plan.specs)} of {size} combinations, seed {config.sample.seed}")
    show_data(data or plan.data)
    settings = config.sharpness
    measures = f"all {len(MEASURES)} built-in ones" if is_all(settings.measures) else ", ".join(settings.measures)
    say(f"measures: {measures} on {settings.samples} samples, {len(settings.orders)} orders")
    passes = ", ".join(f"{count:g} {name}" for name, count in passes_a_trial(settings).items())
    if passes:
        say(f"forward passes over the samples to measure a trial: {passes}")
    if config.shifts:
        say(f"shifts of the test images: {', '.join(config.shifts)}")
    if config.resources.max_concurrent is not None:
        say(f"trials that are trained at once: at most {config.resources.max_concurrent}")
    say(f"states: {counts(plan) or 'none'}")
    say(f"to do: {to_do(plan)}")
    places = [config.data.root] if config.data.root else [*config.data.train, *config.data.test]
    if places:
        say(f"data: {', '.join(places)}")
    for line in [*versions_of(plan), *changed_code(plan)]:
        say(str(line), style="yellow")
    say(f"results: {config.folder}", whole=True)
    say(f"tracking: {config.shown_tracking}", whole=True)


def counts(plan: "Plan") -> str:
    """`3 pending, 1 measured`."""
    return ", ".join(f"{plan.counts[state]} {state.value}" for state in TrialState if plan.counts[state])


def to_do(plan: "Plan") -> str:
    """The missing work: its cost, and how many evaluations under shifts."""
    shifts = missing_shifts(plan)
    if not shifts:
        return _cost(plan.cost)
    work = plan.work
    return f"{_cost(plan.cost)}; {shifts}" if work.to_train or work.to_measure else shifts


def missing_shifts(plan: "Plan") -> str:
    """`8 evaluations of the test set under shifts`; empty where none is missing."""
    count = plan.num_missing_shifts
    return f"{count} evaluation{'s' * (count > 1)} of the test set under shifts" if count else ""


def _cost(cost: "Cost | None") -> str:
    if cost is None:
        return "cost unknown until the first trial of this network is done"
    if cost.train_seconds + cost.measure_seconds == 0:
        return "nothing"
    source = "from finished trials" if cost.recorded else "estimated"
    device = "one GPU" if cost.gpu else "one core"
    parts = f"training {duration(cost.train_seconds)} + measuring {duration(cost.measure_seconds)} of {device}"
    disk = f", {cost.disk_bytes / 1e6:.1f} MB of checkpoints" if cost.disk_bytes else ""
    wall = "" if cost.gpu else f", about {duration(cost.wall_seconds)} on this machine's {cost.cores} cores"
    return f"{parts} ({source}){wall}{disk}"
