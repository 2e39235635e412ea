"""Figure 3 of the paper: Kendall's τ of every measure, a panel for each task; here with intervals and every layer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.report.evidence import Evidence, interval_of_all, label, target_of_all
from analysis.report.figures.style import COLOURS, GREY, MEDIUM, SMALL, Drawn, new_figure, plain, zero_line
from analysis.report.wording import layer_name, measure_name
from analysis.schema import ALL_LAYERS, LAYER, MEASURE, NO_LAYER, PARAMETER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "tau_by_measure"
ROW_INCHES = 0.2
MOST_NAMED = 8  # layers; up to this number each has a row
WHOLE = (ALL_LAYERS, NO_LAYER)  # shown by a filled dot
RENYI_COLOUR, OTHER_COLOUR = COLOURS[0], COLOURS[1]


def tau_by_measure(sweeps: Sequence[Evidence]) -> pd.DataFrame:
    """The numbers of the figure: sweep, measure, parameter, layer, tau_b, ci_low, ci_high, n of the declared columns.

    Measures are ordered by their largest |τ| over all sweeps, layers as in the network.
    """
    columns = [MEASURE, PARAMETER, LAYER, "tau_b", "ci_low", "ci_high", "n"]
    parts = []
    for evidence in sweeps:
        order = {layer: index for index, layer in enumerate(evidence.matrix.layers)}
        part = evidence.headline[columns].assign(sweep=label(evidence, sweeps))
        parts.append(part.iloc[part[LAYER].map(order).argsort(kind="stable")])
    table = pd.concat(parts, ignore_index=True)[["sweep", *columns]]
    strength = table["tau_b"].abs().groupby([table[MEASURE], table[PARAMETER]], dropna=False).transform("max")
    ordered: pd.DataFrame = table.iloc[(-strength).argsort(kind="stable")]
    return ordered


def draw_tau_by_measure(table: pd.DataFrame) -> "Figure":
    """The figure: a panel for each sweep, a row for each (measure, order) and layer; dots are τ, bars intervals."""
    sweeps = list(dict.fromkeys(table["sweep"]))
    keys = table[[MEASURE, PARAMETER]].drop_duplicates()
    groups = [(measure, parameter) for measure, parameter in keys.itertuples(index=False)]
    single = len(sweeps) == 1
    heights = [_rows_of(table, group, single) for group in groups]
    total = sum(heights) + len(groups)
    figure = new_figure(3.2 + 2.6 * len(sweeps), ROW_INCHES * total + 0.7)
    axes = figure.subplots(1, len(sweeps), squeeze=False, sharey=True)[0]
    for ax, sweep in zip(axes, sweeps, strict=True):
        _draw_sweep(ax, table[table["sweep"] == sweep], groups, heights)
        ax.set_title(sweep, fontsize=MEDIUM)
    _label_rows(axes[0], table[table["sweep"] == sweeps[0]], groups, heights)
    axes[0].set_ylim(total - 0.5, -1)
    return figure


def tau_figure(sweeps: Sequence[Evidence]) -> Drawn | None:
    """The figure with its caption and numbers; None if no τ is defined."""
    table = tau_by_measure(sweeps)
    if table["tau_b"].notna().sum() == 0:
        return None
    sizes = ", ".join(f"{label(evidence, sweeps)} {evidence.matrix.n}" for evidence in sweeps)
    single = set(table[LAYER]) - {NO_LAYER}
    layers = "Filled dots: all layers together; open dots: single layers. " if single else ""
    caption = (
        f"Kendall's τ_b of every measure with {target_of_all(sweeps)}; networks: {sizes}. Bars: 95 % "
        f"{interval_of_all(sweeps)} interval over networks. {layers}Orders and radii were declared beforehand, not "
        "selected by τ."
    )
    return Drawn(NAME, "Kendall's τ of every measure", caption, table, draw_tau_by_measure(table))


def _rows_of(table: pd.DataFrame, group: tuple[str, float], single: bool) -> int:
    """The number of rows of a measure: one for each layer if there is a single sweep with few layers; otherwise one for
    all layers together and one for all single layers."""
    layers = _of_group(table, group)[LAYER].unique()
    return len(layers) if single and len(layers) <= MOST_NAMED else 2 - (set(layers) <= set(WHOLE))


def _draw_sweep(ax: "Axes", table: pd.DataFrame, groups: list[tuple[str, float]], heights: list[int]) -> None:
    top = 0
    for group, height in zip(groups, heights, strict=True):
        rows = _of_group(table, group)
        spread = height == len(rows)
        colour = RENYI_COLOUR if group[0].startswith("renyi") else OTHER_COLOUR
        for index, row in enumerate(rows.to_dict("records")):
            whole = row[LAYER] in WHOLE
            y = top + (index if spread else 0 if whole else 1)
            if np.isfinite(row["ci_low"]) and (spread or whole):
                ax.plot([row["ci_low"], row["ci_high"]], [y, y], color=colour, linewidth=1.4, alpha=0.7)
            ax.plot(row["tau_b"], y, "o", color=colour, markersize=4, fillstyle="full" if whole else "none")
        top += height + 1
    ax.set_xlim(-1.05, 1.05)
    ax.set_xlabel("Kendall's τ", fontsize=SMALL)
    zero_line(ax, vertical=True)
    plain(ax)


def _label_rows(ax: "Axes", table: pd.DataFrame, groups: list[tuple[str, float]], heights: list[int]) -> None:
    ticks: list[float] = []
    labels: list[str] = []
    top = 0
    for (measure, parameter), height in zip(groups, heights, strict=True):
        ax.text(-1.02, top - 0.66, measure_name(measure, parameter), fontsize=SMALL, va="center", fontweight="bold")
        layers = [layer_name(layer) for layer in _of_group(table, (measure, parameter))[LAYER]]
        names = layers if len(layers) == height else ["all layers", "single layers"][-height:]
        ticks += [top + index for index in range(len(names))]
        labels += names
        top += height + 1
    ax.set_yticks(ticks, labels, fontsize=SMALL)
    ax.grid(axis="y", color=GREY, alpha=0.15)


def _of_group(table: pd.DataFrame, group: tuple[str, float]) -> pd.DataFrame:
    measure, parameter = group
    same = table[PARAMETER].isna() if np.isnan(parameter) else table[PARAMETER] == parameter
    return table[same & (table[MEASURE] == measure)]
