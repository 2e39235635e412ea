"""What there is to choose from: shipped sweeps and measures."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from analysis.measures import MEASURES
from analysis.settings import SharpnessSettings
from orchestrator.config.load import SHIPPED, shipped_sweeps
from orchestrator.config.sweep_text import read_mapping, read_text
from orchestrator.display.terminal import console, say

SMALL, OPTIMIZERS, CORRELATION = "to try it, on any laptop", "optimizers compared", "correlation tasks of the paper"
_VARIANTS = {  # by how their names end
    "-product-exact": "product, linear",
    "-product": "product, printed",
    "-exact": "linear",
    "": "printed",
}
_OF_RATES = (
    "printed: the paper's learning rates; linear: they are linear in the batch size, as its text states; product: "
    "rates and batch sizes in every combination, not in pairs"
)


@dataclass(frozen=True)
class Shipped:
    """A shipped sweep, as its file says it."""

    name: str
    path: Path
    content: Mapping[str, Any]
    purpose: str  # the paragraph at its head
    trials: str  # their number
    hours: str  # what training takes; empty where that is minutes

    @property
    def group(self) -> str:
        """Under which heading it is listed."""
        if self.name.startswith("table1"):
            return OPTIMIZERS
        dataset = str(self.content["data"]["dataset"])
        return SMALL if dataset == "digits" else f"{CORRELATION}: {dataset}"

    @property
    def line(self) -> str:
        """What tells it from the others of its group."""
        if self.group.startswith(CORRELATION):
            what = next(words for ending, words in _VARIANTS.items() if self.name.endswith(ending))
        else:
            what = "a whole study" if self.name == "digits" else "like table 1"
        cost = f"{self.hours} GPU h" if self.hours else "minutes"
        return f"{self.trials:>3} trials {cost:>9}  {what}"


def shipped(name: str) -> Shipped:
    """A shipped sweep by its name."""
    path = SHIPPED / f"{name}.yaml"
    text = read_text(path)
    paragraphs = text.split("\n#\n")
    purpose = " ".join(line.lstrip("# ") for line in paragraphs[1].splitlines())
    found = re.search(r"(\d+) trials", purpose)
    hours = re.search(r"about (\d+) GPU hours", text)
    return Shipped(name, path, read_mapping(path, text), purpose, found[1] if found else "?", hours[1] if hours else "")


def show_sweeps() -> None:
    """Every shipped sweep in a line, grouped by purpose."""
    groups: dict[str, list[Shipped]] = defaultdict(list)
    for name in shipped_sweeps():
        one = shipped(name)
        groups[one.group].append(one)
    width = max(len(one.name) for members in groups.values() for one in members)
    said = False
    for group in sorted(groups, key=lambda group: (not group.startswith(SMALL), group)):
        say(group, 0, bold=group)
        if group.startswith(CORRELATION) and not said:
            say(_OF_RATES)
            said = True
        for one in groups[group]:
            say(f"{one.name:<{width}}  {one.line}")
    say("more about one of them: renyi sweeps NAME; its cost on this machine: renyi plan NAME", 0)


def show_sweep(name: str) -> None:
    """All that a shipped sweep's file says of itself at its head."""
    one = shipped(name)
    say(f"{name}: {one.path}", 0, bold=name)
    header = read_text(one.path).partition("\n\n")[0]
    for paragraph in header.split("\n#\n")[1:]:
        say(" ".join(line.lstrip("# ") for line in paragraph.splitlines()))
    say(f"start it: renyi run {name}")
    say(f"or copy the file, change it, and run that: cp {one.path} my_sweep.yaml")


def show_measures() -> None:
    """Every measure of the catalogue, a row each."""
    table = Table(box=None, pad_edge=False)
    for column in ("key", "title", "parameter", "passes", "what it measures"):
        table.add_column(column, no_wrap=column == "key", justify="right" if column == "passes" else "left")
    settings = SharpnessSettings()
    for measure in MEASURES.values():
        passes = "spectra" if measure.spectra or measure.needs_spectra else f"{settings.passes(measure.key):g}"
        table.add_row(measure.key, measure.title, measure.symbol or "", passes, measure.summary)
    console.print(table)
    say(
        "Passes: forward passes over the samples for a block, with default settings. Measures from spectra share the "
        "products of these; `renyi plan` counts the passes of a sweep.",
        0,
    )
