"""What all figures share: colours that colour-blind readers can distinguish, sizes legible in print, files."""

import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import pandas as pd

from analysis.inert import for_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito's palette, with a marker and a dash for each: they differ in grey, too. All are visible on white and on
# dark grounds.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "^", "s", "D", "v", "P")
DASHES = ("-", "--", "-.", ":")
GREY = "#7f7f7f"
SMALL, MEDIUM, LARGE = 7, 8, 9  # points
DPI = {"png": 200, "svg": 144, "pdf": 200}  # of dots per inch; the SVG is for the page
KINDS = tuple(DPI)
LAYOUT: Literal["constrained"] | None = "constrained"  # parts are moved until none lies over another
MANY_POINTS = 8000  # more are pixels in the SVG, because browsers are slow with so many marks, and marks in the PDF


@dataclass(frozen=True)
class Drawn:
    """A figure with its title, caption, and the numbers from which it is drawn."""

    name: str  # of its files
    title: str
    caption: str  # with N, the selection of orders, and the meaning of the intervals
    numbers: pd.DataFrame
    figure: "Figure"
    within: str = ""  # the figure of which this one shows all
    explored: bool = False  # whether the page's script shows the same by hand, so that this one is for print

    def of_sweep(self, sweep: str, tag: str | None = None) -> "Drawn":
        """The same figure, with the sweep in its title, and in its name too, or a tag there in its place."""
        return replace(self, name=f"{self.name}_{tag or sweep}", title=f"{sweep}: {self.title}")

    def files(self) -> dict[str, bytes]:
        """The figure as PNG, SVG and PDF, and its numbers as CSV."""
        rendered = {f"{self.name}.{kind}": render(self.figure, kind, self.name) for kind in KINDS}
        return {**rendered, f"{self.name}.csv": for_csv(self.numbers).encode()}


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, with sizes in inches, whose parts are arranged without overlap."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=LAYOUT)


def render(figure: "Figure", kind: str, name: str) -> bytes:
    """The figure as a file of one kind; the same figure gives the same bytes."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    if kind == "pdf":
        for artist in figure.findobj(lambda each: bool(each.get_rasterized())):
            artist.set_rasterized(False)
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    # Text stays text in SVG: searchable, and a tenth of the size.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "pdf.fonttype": 42}):
        figure.savefig(buffer, format=kind, dpi=DPI[kind], metadata=metadata)
    # Keep this arrangement for the next kind.
    figure.set_layout_engine("none")
    return buffer.getvalue()


def plain(ax: "Axes") -> None:
    """Use small ticks, and no frame on the sides without an axis."""
    ax.tick_params(labelsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)


def sparse_decades(axis: "Axis") -> None:
    """Label a logarithmic axis with a few plain numbers, and none between decades."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(numticks=4))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def zero_line(ax: "Axes", vertical: bool = False) -> None:
    """Draw a thin line at τ = 0."""
    draw = ax.axvline if vertical else ax.axhline
    draw(0, color=GREY, linewidth=0.8, zorder=0)
