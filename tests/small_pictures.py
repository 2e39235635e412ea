"""Figures that are quick to draw; `python -m tests.small_pictures` is the command `renyi` with them and forked workers.

That figures are legible, and in every kind of file, is for the tests of the figures.
"""

from typing import TYPE_CHECKING

import pytest

from analysis.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLANK = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
_drawn: set[str] = set()  # sorts of figures that this process has drawn


def draw_one_kind(patch: pytest.MonkeyPatch) -> None:
    """Draw figures as SVG alone, of few pixels, without arranging them."""
    patch.setattr(style, "KINDS", ("svg",))
    patch.setattr(style, "DPI", dict.fromkeys(("png", "svg", "pdf"), 30))
    patch.setattr(style, "LAYOUT", None)


def draw_each_once(patch: pytest.MonkeyPatch) -> None:
    """The same, of each sort of figure the first of this process; leave the others blank."""
    draw_one_kind(patch)
    draw = style.render

    def render(figure: "Figure", kind: str, name: str) -> bytes:
        sort = name.partition("_")[0]
        if sort in _drawn:
            return BLANK
        _drawn.add(sort)
        return draw(figure, kind, name)

    patch.setattr(style, "render", render)


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """Leave figures blank, in processes whose report nobody looks at."""
    patch.setattr(style, "KINDS", ("svg",))
    patch.setattr(style, "render", lambda figure, kind, name: BLANK)


if __name__ == "__main__":
    from orchestrator.cli import app
    from tests import forked_worker
    from trainables.processes import running

    draw_each_once(pytest.MonkeyPatch())
    running.launch = forked_worker.fork
    app()
