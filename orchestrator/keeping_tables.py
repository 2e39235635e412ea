"""What `renyi list` and `renyi clean` show, in 80 columns."""

import time
from collections.abc import Sequence

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from analysis.terminal import titled
from orchestrator.display import console
from orchestrator.store.cleaning import Kind, Removal
from orchestrator.store.listing import ListedSweep
from orchestrator.store.plan import Plan

ASKED = {
    Kind.CHECKPOINTS: "The checkpoints of trials that are measured.",
    Kind.OTHER_TRIALS: "Trials that the sweep file does not ask for.",
    Kind.OLD_MEASUREMENTS: "Measurements with other settings than the file's.",
}
_NOTHING = {
    Kind.CHECKPOINTS: "checkpoints of measured trials",
    Kind.OTHER_TRIALS: "trials that the file does not ask for",
    Kind.OLD_MEASUREMENTS: "earlier measurements of measured trials",
}
_AFTERWARDS = {
    Kind.CHECKPOINTS: "no measuring with other settings (`renyi remeasure`; new orders still come from the stored "
    "spectra), no further shifts, no `renyi measure`, no weights",
    Kind.OTHER_TRIALS: "a file that asks for them trains and measures them again",
    Kind.OLD_MEASUREMENTS: "a file with those settings measures again, and needs the checkpoints for it",
}


def show_list(sweeps: Sequence[ListedSweep], place: str) -> None:
    """A row for each sweep."""
    console.print(place)
    if not sweeps:
        console.print("  no sweeps; `renyi run digits` makes one")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("sweep", overflow="fold")
    table.add_column("trials")
    for name, side in (("started", "left"), ("last write", "left"), ("disk", "right")):
        table.add_column(name, no_wrap=True, justify="right" if side == "right" else "left")
    for sweep in sweeps:
        last = "running" if sweep.running else _date(sweep.last, "%Y-%m-%d %H:%M")
        table.add_row(sweep.name, _trials(sweep), _date(sweep.started, "%Y-%m-%d"), last, size_text(sweep.size))
    console.print(table, soft_wrap=False)


def show_removals(plan: Plan, wanted: Sequence[Removal]) -> None:
    """What each kind would free, and what can't be had afterwards."""
    console.print(titled(plan.config.name, f": {plan.config.folder}"))
    for each in wanted:
        if not each.items:
            console.print(f"  no {_NOTHING[each.kind]}")
            continue
        console.print(f"  {_what(each)} (--{each.kind.value}): {size_text(each.size)}")
        console.print(Padding(Text(f"afterwards: {_AFTERWARDS[each.kind]}"), (0, 0, 0, 6)), soft_wrap=False)


def size_text(size: int | None) -> str:
    """Bytes for people: `12.3 MB`."""
    if size is None:
        return ""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.95:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _trials(sweep: ListedSweep) -> str:
    counts = [f"{count} {state}" for state, count in sweep.states.items() if count]
    if sweep.others:
        counts.append(f"{sweep.others} not in its file")
    return f"{sweep.trials}: {', '.join(counts)}" if counts else "none"


def _date(moment: float | None, form: str) -> str:
    return "" if moment is None else time.strftime(form, time.localtime(moment))


def _what(removal: Removal) -> str:
    count = len(removal.items)
    match removal.kind:
        case Kind.CHECKPOINTS:
            return f"checkpoints of {count} measured trial{'s' * (count != 1)}"
        case Kind.OTHER_TRIALS:
            return f"{count} trial{'s' * (count != 1)} that the file does not ask for"
        case Kind.OLD_MEASUREMENTS:
            return f"{count} earlier measurement{'s' * (count != 1)}, of {removal.trials} measured trials"
