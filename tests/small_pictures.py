"""Figures that are quick to draw; `python -m tests.small_pictures` is the command `renyi` with them.

That figures are legible, and in every kind of file, is for the tests of the figures.
"""

import pytest


def draw_one_kind(patch: pytest.MonkeyPatch) -> None:
    """Draw figures as SVG alone, of few pixels, without arranging them."""
    patch.setattr("analysis.report.figures.style.KINDS", ("svg",))
    patch.setattr("analysis.report.figures.style.DPI", dict.fromkeys(("png", "svg", "pdf"), 30))
    patch.setattr("analysis.report.figures.style.LAYOUT", None)


if __name__ == "__main__":
    from orchestrator.cli import app

    draw_one_kind(pytest.MonkeyPatch())
    app()
