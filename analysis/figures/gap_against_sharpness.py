"""Figure 2 of the paper: the generalization gap against the sharpness of each layer, a panel a layer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.schema import ALL_LAYERS, GAP_LOSS, HEADLINE_ORDERS, LAYER, MEASURE, PARAMETER, TRIAL_ID, VALUE
from analysis.statistics import KendallTau, kendall_tau

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette, and a marker for each: told apart in grey and by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "^", "s", "D", "v", "P")
PANEL_INCHES = 2.1


@dataclass(frozen=True)
class Panel:
    """One layer at one order: a point a trial."""

    layer: str
    order: float
    sharpness: NDArray[np.float64]  # (N,) Rényi sharpness, nats
    gap: NDArray[np.float64]  # (N,) test loss − training loss
    group: list[str]  # (N,) optimizer of each trial
    tau: KendallTau


def gap_against_sharpness(results: pd.DataFrame, orders: tuple[float, ...] = HEADLINE_ORDERS) -> list[Panel]:
    """The numbers of the figure: a panel for each order and layer, all layers together last."""
    renyi = results[results[MEASURE] == "renyi"]
    layers = [layer for layer in dict.fromkeys(renyi[LAYER]) if layer != ALL_LAYERS] + [ALL_LAYERS]
    panels = []
    for order in orders:
        for layer in layers:
            rows = renyi[(renyi[PARAMETER] == order) & (renyi[LAYER] == layer)].sort_values(TRIAL_ID)
            if rows.empty:
                continue
            tau = kendall_tau(rows[VALUE], rows[GAP_LOSS])
            rows = rows[rows[VALUE].notna()]
            panels.append(
                Panel(layer, order, rows[VALUE].to_numpy(), rows[GAP_LOSS].to_numpy(), list(rows["optimizer"]), tau)
            )
    return panels


def draw_gap_against_sharpness(panels: list[Panel], title: str) -> "Figure":
    """The figure: orders down, layers across, Kendall's τ with its interval over each panel."""
    from matplotlib.figure import Figure

    orders = list(dict.fromkeys(panel.order for panel in panels))
    layers = list(dict.fromkeys(panel.layer for panel in panels))
    groups = sorted({name for panel in panels for name in panel.group})
    size = (PANEL_INCHES * max(len(layers), 2) + 0.4, PANEL_INCHES * 1.1 * max(len(orders), 1) + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(max(len(orders), 1), max(len(layers), 1), squeeze=False, sharey=True)
    for panel in panels:
        ax = axes[orders.index(panel.order), layers.index(panel.layer)]
        for index, name in enumerate(groups):
            chosen = np.array(panel.group) == name
            style = {"c": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
            ax.scatter(panel.sharpness[chosen], panel.gap[chosen], s=14, alpha=0.8, linewidths=0, label=name, **style)
        name = "all layers" if panel.layer == ALL_LAYERS else panel.layer.removesuffix(".weight")
        tau = panel.tau
        ax.set_title(f"{name}\nτ = {tau.tau_b:.2f} [{tau.ci_low:.2f}, {tau.ci_high:.2f}]", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.set_xlabel(f"Rényi sharpness, α = {panel.order:g} (nats)", fontsize=7)
    for row in axes:
        row[0].set_ylabel("generalization gap\n(test loss − training loss)", fontsize=7)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(len(groups), 1), fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=9)
    return figure
