"""A progress bar on long work, in a terminal or a notebook."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(eq=False)
class ProgressBar:
    """Steps that are done, of those that are planned; draws nothing without a display."""

    display: Any = None  # rich's
    task: Any = None
    planned: int = 0

    def plan(self, steps: int) -> None:
        """There are so many steps more."""
        self.planned += steps
        if self.display is not None:
            self.display.update(self.task, total=self.planned)

    def step(self, what: str) -> None:
        """One step is done; `what` was measured."""
        if self.display is not None:
            self.display.update(self.task, advance=1, description=what)


NO_BAR = ProgressBar()


def is_watched() -> bool:
    """Whether somebody sees a bar: standard error is a terminal, or this is a notebook."""
    shell = sys.modules.get("IPython")
    in_notebook = shell is not None and getattr(shell.get_ipython(), "kernel", None) is not None
    return in_notebook or sys.stderr.isatty()


@contextmanager
def progress_bar(shown: bool | None = None) -> Iterator[ProgressBar]:
    """A bar that disappears when the work is done.

    Args:
        shown: None draws it where somebody sees it.
    """
    if not (is_watched() if shown is None else shown):
        yield ProgressBar()
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from analysis.terminal import InertConsole

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=InertConsole(stderr=True), transient=True) as display:
        yield ProgressBar(display, display.add_task("measuring", total=None))
