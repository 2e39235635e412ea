"""Figure 3 of the paper: Kendall's τ of every measure, a panel for each task; here with intervals and every layer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from types import MappingProxyType
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

NAME, STRONGEST = "tau_by_measure", "tau_strongest"
WIDTH = 8.0  # inches of a single panel
ROW_INCHES = 0.17
BLOCK_ROWS = 1.5  # of the words over those that support the gap, and over those that oppose it
SCREEN_ROWS = 26  # of the strongest measures
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


def draw_tau_by_measure(table: pd.DataFrame, titles: Mapping[str, str] = MappingProxyType({})) -> "Figure":
    """The figure: a panel for each sweep, a row for each (measure, order) and layer; dots are τ, bars intervals.

    Measures that support the gap come first, those that oppose it below; the strongest τ of a measure decides. The axis
    is drawn at both ends.

    Args:
        table: the numbers.
        titles: what layers are, in words, where that is known.
    """
    sweeps = list(dict.fromkeys(table["sweep"]))
    groups = _groups(table)
    single = len(sweeps) == 1
    heights = {group: _rows_of(table, group, single) for block in groups for group in block}
    drawn = [block for block in groups if block]
    total = sum(heights.values()) + len(heights) + BLOCK_ROWS * len(drawn)
    figure = new_figure(max(WIDTH, 3.2 + 2.6 * len(sweeps)), ROW_INCHES * total + 0.9)
    axes = figure.subplots(1, len(sweeps), squeeze=False, sharey=True)[0]
    for index, (ax, sweep) in enumerate(zip(axes, sweeps, strict=True)):
        rows, top = table[table["sweep"] == sweep], 0.0
        ticks: list[tuple[float, str]] = []
        for block, word in zip(groups, ("supports the gap (τ > 0)", "opposes the gap (τ < 0)"), strict=True):
            if not block:
                continue
            if index == 0:
                ax.text(-1.04, top - 0.4, word, fontsize=MEDIUM, va="center", fontweight="bold", color=GREY)
            ax.axhline(top + 0.3, color=GREY, linewidth=0.6)
            top += BLOCK_ROWS
            for group in block:
                _draw_group(ax, rows, group, heights[group], top)
                if index == 0:
                    ax.text(-1.02, top - 0.66, measure_name(*group), fontsize=SMALL, va="center", fontweight="bold")
                    ticks += _labels(rows, group, heights[group], top, titles)
                top += heights[group] + 1
        _frame(ax, sweep, "" if single else sweep)
        if index == 0:
            ax.set_yticks([place for place, _ in ticks], [text for _, text in ticks], fontsize=SMALL)
        ax.grid(axis="y", color=GREY, alpha=0.15)
    axes[0].set_ylim(total - 0.5, -1)
    return figure


def tau_figures(sweeps: Sequence[Evidence]) -> list[Drawn]:
    """The figure with its caption and numbers, before it its strongest measures where it is long; none without a τ."""
    table = tau_by_measure(sweeps)
    if table["tau_b"].notna().sum() == 0:
        return []
    titles = {layer: one.matrix.layer_title(layer) for one in sweeps for layer in one.matrix.layers}
    sizes = ", ".join(f"{label(evidence, sweeps)} {evidence.matrix.n}" for evidence in sweeps)
    single = set(table[LAYER]) - {NO_LAYER}
    layers = "Filled dots: all layers together; open dots: single layers. " if single else ""
    caption = (
        f"Kendall's τ_b of every measure with {target_of_all(sweeps)}; networks: {sizes}. Bars: 95 % "
        f"{interval_of_all(sweeps)} interval over networks. {layers}Orders and radii were declared beforehand, not "
        "selected by τ."
    )
    first = _strongest(table, len(set(table["sweep"])) == 1)
    whole = Drawn(NAME, "Kendall's τ of every measure", caption, table, draw_tau_by_measure(table, titles))
    if len(first) == len(table):
        return [whole]
    count = len(first[[MEASURE, PARAMETER]].drop_duplicates())
    of = len(table[[MEASURE, PARAMETER]].drop_duplicates())
    title = f"Kendall's τ of {count} of {of} measures, the strongest either way"
    short = Drawn(STRONGEST, title, caption, first, draw_tau_by_measure(first, titles))
    return [short, replace(whole, within=STRONGEST)]


def _strongest(table: pd.DataFrame, single: bool) -> pd.DataFrame:
    """The rows of the strongest measures that support the gap and that oppose it, as many as fit on a screen."""
    supporting, opposing = _groups(table)
    kept: list[pd.DataFrame] = []
    height = 0
    for group in (each for pair in zip_longest(supporting, opposing) for each in pair if each is not None):
        height += _rows_of(table, group, single) + 1
        if height > SCREEN_ROWS and kept:
            break
        kept.append(_of_group(table, group))
    return pd.concat(kept)


def _groups(table: pd.DataFrame) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """The (measure, order) that support the gap, and those that oppose it, each strongest first."""
    supporting: list[tuple[str, float]] = []
    opposing: list[tuple[str, float]] = []
    for measure, parameter in table[[MEASURE, PARAMETER]].drop_duplicates().itertuples(index=False):
        tau = _of_group(table, (measure, parameter))["tau_b"].dropna()
        strongest = tau.iloc[int(tau.abs().argmax())] if len(tau) else 0.0
        (opposing if strongest < 0 else supporting).append((measure, parameter))
    return supporting, opposing


def _rows_of(table: pd.DataFrame, group: tuple[str, float], single: bool) -> int:
    """The number of rows of a measure: one for each layer if there is a single sweep with few layers; otherwise one for
    all layers together and one for all single layers."""
    layers = _of_group(table, group)[LAYER].unique()
    return len(layers) if single and len(layers) <= MOST_NAMED else 2 - (set(layers) <= set(WHOLE))


def _draw_group(ax: "Axes", table: pd.DataFrame, group: tuple[str, float], height: int, top: float) -> None:
    rows = _of_group(table, group)
    spread = height == len(rows)
    colour = RENYI_COLOUR if group[0].startswith("renyi") else OTHER_COLOUR
    for index, row in enumerate(rows.to_dict("records")):
        whole = row[LAYER] in WHOLE
        y = top + (index if spread else 0 if whole else 1)
        if np.isfinite(row["ci_low"]) and (spread or whole):
            ax.plot([row["ci_low"], row["ci_high"]], [y, y], color=colour, linewidth=1.4, alpha=0.7)
        ax.plot(row["tau_b"], y, "o", color=colour, markersize=4, fillstyle="full" if whole else "none")


def _frame(ax: "Axes", sweep: str, title: str) -> None:
    ax.set_xlim(-1.05, 1.05)
    ax.set_xlabel("Kendall's τ", fontsize=SMALL)
    if title:
        ax.set_title(sweep, fontsize=MEDIUM)
    zero_line(ax, vertical=True)
    plain(ax)
    ax.tick_params(axis="x", top=True, labeltop=True)
    ax.spines["top"].set_visible(True)


def _labels(
    table: pd.DataFrame, group: tuple[str, float], height: int, top: float, titles: Mapping[str, str]
) -> list[tuple[float, str]]:
    layers = [titles.get(layer, layer_name(layer)) for layer in _of_group(table, group)[LAYER]]
    names = layers if len(layers) == height else ["all layers", "single layers"][-height:]
    return [(top + index, name) for index, name in enumerate(names)]


def _of_group(table: pd.DataFrame, group: tuple[str, float]) -> pd.DataFrame:
    measure, parameter = group
    same = table[PARAMETER].isna() if np.isnan(parameter) else table[PARAMETER] == parameter
    return table[same & (table[MEASURE] == measure)]
