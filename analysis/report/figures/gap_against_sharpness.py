"""Figures 2 and 8–13 of the paper: the generalization gap against every measure, one panel for each."""

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.report.figures.style import (
    COLOURS,
    MANY_POINTS,
    MARKERS,
    MEDIUM,
    SMALL,
    Drawn,
    new_figure,
    plain,
    sparse_decades,
)
from analysis.report.sweep_matrix import SweepMatrix
from analysis.report.tables import RENYI, Association
from analysis.report.wording import measure_name, signed
from analysis.results.targets import LOSS
from analysis.schema import ALL_LAYERS, LAYER, MEASURE, PARAMETER
from analysis.statistics.resampling import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "gap_against_sharpness"
PANEL_INCHES = 1.75
LABEL_WIDTH = 22  # characters in a line below a panel
MOST_ACROSS = 6
SPREAD_FOR_LOGARITHM = 100  # largest value over smallest


@dataclass(frozen=True)
class Panel:
    """One measure of one layer, with a point for each trial."""

    measure: str
    parameter: float  # NaN if the measure has none
    layer: str
    values: FloatArray  # (N,) larger means sharper
    gap: FloatArray  # (N,) or another target
    group: list[str]  # (N,) optimizer of each trial
    tau: float
    ci_low: float
    ci_high: float
    title: str  # of the layer


def gap_against_sharpness(matrix: SweepMatrix, association: Association) -> list[Panel]:
    """The numbers of the figure: Rényi sharpness of every layer at the declared orders, then the other measures.

    Other measures are shown for all layers together, or for each layer if they are not defined for all together.
    """
    panels = []
    known = "optimizer" in matrix.trials
    optimizers = matrix.trials["optimizer"].astype(str) if known else pd.Series("", index=matrix.trials.index)
    for column in np.flatnonzero(matrix.headline):
        measure, layer = str(matrix.keys[MEASURE][column]), str(matrix.keys[LAYER][column])
        parameter = float(matrix.keys[PARAMETER][column])
        shown_layer = ALL_LAYERS if matrix.column(measure, _none(parameter), ALL_LAYERS) is not None else layer
        if measure not in RENYI and layer != shown_layer:
            continue
        kept = np.isfinite(matrix.values[:, column])
        taus = association.taus
        panels.append(
            Panel(
                measure,
                parameter,
                layer,
                matrix.values[kept, column],
                matrix.gap[kept],
                list(optimizers[kept]),
                float(taus.tau_b[column]),
                float(taus.ci_low[column]),
                float(taus.ci_high[column]),
                matrix.layer_title(layer),
            )
        )
    return panels


def draw_gap_against_sharpness(panels: list[Panel], gap: str = LOSS.label) -> "Figure":
    """The figure: a row of panels for each order of Rényi sharpness, and one for the other measures; long rows wrap."""
    rows = _rows(panels)
    across = max(len(row) for row in rows)
    groups = sorted({name for panel in panels for name in panel.group})
    figure = new_figure(PANEL_INCHES * max(across, 3) + 0.4, PANEL_INCHES * 1.15 * len(rows) + 0.5)
    axes = figure.subplots(len(rows), across, squeeze=False, sharey=True)
    pixels = sum(len(panel.gap) for panel in panels) > MANY_POINTS
    for line, row in zip(axes, rows, strict=True):
        for ax, panel in zip(line, row, strict=False):
            _draw_panel(ax, panel, groups, pixels)
        for ax in line[len(row) :]:
            ax.set_visible(False)
        line[0].set_ylabel(gap, fontsize=SMALL)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if groups != [""]:
        across = max(len(groups), 1)
        figure.legend(handles, labels, loc="outside lower center", ncols=across, fontsize=MEDIUM, frameon=False)
    return figure


def gap_figure(
    matrix: SweepMatrix, association: Association, interval: str = "bootstrap", drawn_from: int | None = None
) -> Drawn | None:
    """The figure with its caption and numbers; None if there is nothing to show.

    Args:
        matrix, association: the points, and τ of each panel.
        interval: how the intervals of τ were made.
        drawn_from: how many networks τ is of, where the points are a random draw from them.
    """
    panels = gap_against_sharpness(matrix, association)
    if not panels or matrix.n == 0:
        return None
    numbers = pd.concat(
        [
            pd.DataFrame(
                {
                    MEASURE: panel.measure,
                    PARAMETER: panel.parameter,
                    LAYER: panel.layer,
                    "value": panel.values,
                    "gap": panel.gap,
                    "optimizer": panel.group,
                }
            )
            for panel in panels
        ],
        ignore_index=True,
    )
    draw = f", drawn at random from {drawn_from}, which τ is of" if drawn_from and drawn_from > matrix.n else ""
    caption = (
        f"The {matrix.target.title} against each measure, with a point for each of {matrix.n} networks{draw}; "
        f"larger means sharper. Above each panel: Kendall's τ_b with its 95 % {interval} interval over networks. "
        "Orders and radii were declared beforehand, not selected by τ."
    )
    drawn = draw_gap_against_sharpness(panels, matrix.target.label)
    title = f"The {matrix.target.label} against every measure"
    return Drawn(NAME, title, caption, numbers, drawn, explored=True)


def _rows(panels: list[Panel]) -> list[list[Panel]]:
    """A row for each Rényi order that has several layers, and one for all other panels; long rows wrap."""
    groups: dict[tuple[str, float] | None, list[Panel]] = {}
    for panel in panels:
        alone = sum((other.measure, other.parameter) == (panel.measure, panel.parameter) for other in panels) == 1
        key = None if alone or panel.measure not in RENYI else (panel.measure, panel.parameter)
        groups.setdefault(key, []).append(panel)
    return [
        group[start : start + MOST_ACROSS] for group in groups.values() for start in range(0, len(group), MOST_ACROSS)
    ]


def _draw_panel(ax: "Axes", panel: Panel, groups: list[str], pixels: bool) -> None:
    for index, name in enumerate(groups):
        chosen = np.array(panel.group) == name
        ax.scatter(
            panel.values[chosen],
            panel.gap[chosen],
            s=12,
            alpha=0.8,
            linewidths=0,
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            label=name,
            rasterized=pixels,
        )
    interval = "" if np.isnan(panel.ci_low) else f" [{signed(panel.ci_low)}, {signed(panel.ci_high)}]"
    ax.set_title(f"{panel.title}\nτ = {signed(panel.tau)}{interval}", fontsize=SMALL)
    name = measure_name(panel.measure, panel.parameter).replace(" = ", "\u00a0=\u00a0")  # no line break inside
    ax.set_xlabel(textwrap.fill(name, LABEL_WIDTH), fontsize=SMALL)
    lowest, highest = panel.values.min(initial=np.inf), panel.values.max(initial=-np.inf)
    if lowest > 0 and highest > SPREAD_FOR_LOGARITHM * lowest:
        ax.set_xscale("log")
        sparse_decades(ax.xaxis)
    else:
        ax.locator_params(axis="x", nbins=3)
    plain(ax)


def _none(parameter: float) -> float | None:
    return None if np.isnan(parameter) else parameter
