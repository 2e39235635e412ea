"""Figure 3 of the paper as an overview: τ of every declared measure on every layer; faded where not significant."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.report.conclusion import judge
from analysis.report.evidence import Evidence
from analysis.report.statements import LEVEL
from analysis.report.wording import measure_name, signed, with_interval
from analysis.schema import LAYER, MEASURE, PARAMETER


@dataclass(frozen=True)
class HeatCell:
    """One measure on one layer."""

    text: str  # τ; empty where the measure has no τ there
    strength: int  # |τ| in percent
    supports: bool
    sure: bool  # significant; of very many models: the interval excludes 0
    said: str  # all of it, for readers who point at it


@dataclass(frozen=True)
class HeatMap:
    """Measures × layers."""

    layers: list[str]  # in words
    rows: list[tuple[str, list[HeatCell | None]]]
    note: str  # over which pairs of trials τ is


def heat_map(evidence: Evidence) -> HeatMap | None:
    """The map of the declared columns as they are judged, strongest measures first; None where no τ is defined.

    They are judged within the groups of an axis, such as the optimizers, where τ over all trials contains a contrast
    between these: the map and the answers are then about the same τ.
    """
    judged = judge(evidence)
    table = judged.rows
    if table["tau"].notna().sum() == 0:
        return None
    note = f"τ{judged.within or ' over all pairs of trials'}, strongest measures first."
    if judged.axis:
        note += (
            f" Over all pairs it contains a contrast between groups of the {judged.axis}, so it is judged within them."
        )
    layers = [layer for layer in evidence.matrix.layers if (table[LAYER] == layer).any()]
    rows = []
    for (measure, parameter), group in table.groupby([MEASURE, PARAMETER], sort=False, dropna=False):
        by_layer = {str(row[LAYER]): _cell(evidence, row) for _, row in group.iterrows()}
        rows.append((measure_name(str(measure), float(str(parameter))), [by_layer.get(layer) for layer in layers]))
    return HeatMap([evidence.matrix.layer_title(layer) or "table" for layer in layers], rows, note)


def _cell(evidence: Evidence, found: pd.Series) -> HeatCell | None:
    tau = float(found["tau"])
    if not np.isfinite(tau):
        return None
    tested = bool(np.isfinite(found["p_adjusted"]))
    sure = bool(found["p_adjusted"] < LEVEL) if tested else bool(found["ci_low"] > 0 or found["ci_high"] < 0)
    words = [f"τ = {with_interval(tau, found['ci_low'], found['ci_high'])}"]
    words += [f"adjusted p = {found['p_adjusted']:.3f}"] if tested else []
    words.append(f"{found['num_configurations']:.0f} configurations")
    name = f"{measure_name(found[MEASURE], found[PARAMETER])}, {evidence.matrix.layer_title(found[LAYER])}"
    return HeatCell(signed(tau), round(100 * abs(tau)), tau > 0, sure, f"{name}: {'; '.join(words)}")
