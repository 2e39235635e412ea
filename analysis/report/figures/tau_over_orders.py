"""Figure 14 of the paper: Kendall's τ of Rényi sharpness over its order; a panel for each task, a line a layer."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.report.evidence import Evidence, label, target_of_all
from analysis.report.figures.style import COLOURS, DASHES, GREY, MEDIUM, SMALL, Drawn, new_figure, plain, zero_line
from analysis.report.tables import RENYI
from analysis.report.wording import layer_name, measure_name
from analysis.schema import ALL_LAYERS, LAYER, MEASURE, PARAMETER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "tau_over_orders"
MOST_NAMED = 8  # layers; with more, single layers are thin lines without names


def tau_over_orders(sweeps: Sequence[Evidence]) -> pd.DataFrame:
    """The numbers of the figure: sweep, measure, parameter, layer, tau_b, ci_low, ci_high, n, by ascending order."""
    parts = []
    for evidence in sweeps:
        table = evidence.tau[evidence.tau[MEASURE].isin(RENYI)]
        order = {layer: index for index, layer in enumerate(evidence.matrix.layers)}
        table = table.assign(sweep=label(evidence, sweeps), position=table[LAYER].map(order))
        parts.append(table.sort_values([MEASURE, "position", PARAMETER]))
    columns = ["sweep", MEASURE, PARAMETER, LAYER, "tau_b", "ci_low", "ci_high", "n"]
    return pd.concat(parts, ignore_index=True)[columns]


def draw_tau_over_orders(table: pd.DataFrame, titles: Mapping[str, str] = MappingProxyType({})) -> "Figure":
    """The figure: a column for each sweep, a row for each Rényi measure; the band is the interval of all layers."""
    sweeps, measures = (list(dict.fromkeys(table[name])) for name in ("sweep", MEASURE))
    figure = new_figure(3.6 * max(len(sweeps), 1) + 1.6, 2.7 * len(measures) + 0.3)
    axes = figure.subplots(len(measures), len(sweeps), squeeze=False, sharey=True, sharex=True)
    for line, measure in zip(axes, measures, strict=True):
        for ax, sweep in zip(line, sweeps, strict=True):
            _draw_panel(ax, table[(table["sweep"] == sweep) & (table[MEASURE] == measure)], titles)
            ax.set_title(sweep if len(measures) == 1 else f"{sweep}: {measure_name(measure)}", fontsize=MEDIUM)
        line[0].set_ylabel("Kendall's τ", fontsize=SMALL)
    for ax in axes[-1]:
        ax.set_xlabel("order α", fontsize=SMALL)
    return figure


def orders_figure(sweeps: Sequence[Evidence]) -> Drawn | None:
    """The figure with its caption and numbers; None if fewer than three orders were measured."""
    table = tau_over_orders(sweeps)
    if table["tau_b"].notna().sum() == 0 or table[PARAMETER].nunique() < 3:
        return None
    sizes = ", ".join(f"{label(evidence, sweeps)} {evidence.matrix.n}" for evidence in sweeps)
    titles = {layer: one.matrix.layer_title(layer) for one in sweeps for layer in one.matrix.layers}
    caption = (
        f"Kendall's τ_b of Rényi sharpness with {target_of_all(sweeps)} at every measured order; networks: {sizes}. "
        "Band: 95 % bootstrap interval over networks, all layers together. To take the best order from a curve is a "
        "selection; the table on the choice of the order shows what it is worth."
    )
    return Drawn(NAME, "τ over the order of the entropy", caption, table, draw_tau_over_orders(table, titles))


def _draw_panel(ax: "Axes", table: pd.DataFrame, titles: Mapping[str, str]) -> None:
    layers = list(dict.fromkeys(table[LAYER]))
    single = [layer for layer in layers if layer != ALL_LAYERS]
    named = len(single) <= MOST_NAMED
    for index, layer in enumerate(single):
        rows = table[table[LAYER] == layer]
        ax.plot(
            rows[PARAMETER],
            rows["tau_b"],
            color=COLOURS[index % len(COLOURS)] if named else COLOURS[5],
            linestyle=DASHES[index % len(DASHES)] if named else "-",
            linewidth=1.2 if named else 0.7,
            label=titles.get(layer, layer_name(layer)) if named else "single layers" if index == 0 else None,
        )
    whole = table[table[LAYER] == ALL_LAYERS]
    if len(whole):
        ax.plot(whole[PARAMETER], whole["tau_b"], color=GREY, linewidth=2.2, label=layer_name(ALL_LAYERS))
        if np.isfinite(whole["ci_low"]).any():
            ax.fill_between(whole[PARAMETER], whole["ci_low"], whole["ci_high"], color=GREY, alpha=0.2, linewidth=0)
    ax.set_ylim(-1.02, 1.02)
    zero_line(ax)
    ax.legend(fontsize=SMALL, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    plain(ax)
