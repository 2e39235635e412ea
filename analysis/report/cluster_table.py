"""Figure 1(d) of the paper: whether the kind of a layer's spectrum predicts the order of highest τ, beside chance."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.errors import UndefinedMeasureError
from analysis.report.sweep_matrix import SweepMatrix
from analysis.report.tables import Association
from analysis.schema import ALL_LAYERS, LAYER, MEASURE, PARAMETER
from analysis.spectrum.clusters import SpectralClusters, SpectrumKind, count_matches, find_spectral_clusters
from analysis.spectrum.quadrature import Quadratures, SpectralQuadrature
from analysis.statistics.resampling import FloatArray

TOGETHER = "single layers"  # the row of all layers but `all`


def cluster_table(matrix: SweepMatrix, association: Association, spectra: Mapping[str, Quadratures]) -> pd.DataFrame:
    """The kinds of each layer's spectra over all networks, and how often the kind predicts the order.

    Columns: layer, a count for each kind, best_order (of highest τ on the layer), matches, mismatches, left_out,
    chance_matches (mean number of matches with reassigned gaps), p_value (that chance gives as many matches). The last
    row has the single layers together. Chance is not half the cases: networks of one sweep have spectra of one kind,
    and neighbouring orders have neighbouring τ, so all cases of a layer, often of all layers, match or none.
    """
    kinds = [kind.value for kind in SpectrumKind]
    names = [LAYER, *kinds, "best_order", "matches", "mismatches", "left_out", "chance_matches", "p_value"]
    if not spectra:
        return pd.DataFrame(columns=names)
    rows: list[list[object]] = []
    chances = []
    for layer in matrix.layers:
        found = [_clusters(by_layer[layer]) for by_layer in spectra.values() if layer in by_layer]
        predicted = [clusters.predicted_order if clusters else None for clusters in found]
        order, orders = _best_orders(matrix, association, layer)
        count = count_matches(predicted, [order] * len(found))
        by_side = [sum(one is not None and (one < 1) == below for one in predicted) for below in (True, False)]
        chance = np.where(orders < 1, by_side[0], np.where(orders > 1, by_side[1], 0)).astype(float)
        counted = Counter(clusters.kind for clusters in found if clusters is not None)
        counts = [count.matches, count.mismatches, count.left_out]
        rows.append([layer, *(counted[kind] for kind in SpectrumKind), order, *counts, *_beside(count.matches, chance)])
        chances.append(chance)
    table = pd.DataFrame(rows, columns=names)
    single = (table[LAYER] != ALL_LAYERS).to_numpy()
    if single.any():
        totals = table.loc[single, [*kinds, "matches", "mismatches", "left_out"]].sum()
        chance = np.sum([one for one, flag in zip(chances, single, strict=True) if flag], axis=0)
        level = dict(zip(names[-2:], _beside(int(totals["matches"]), chance), strict=True))
        table.loc[len(table)] = pd.Series({LAYER: TOGETHER, "best_order": np.nan, **totals, **level})
    return table


def _best_orders(matrix: SweepMatrix, association: Association, layer: str) -> tuple[float, FloatArray]:
    """The order of highest τ on a layer, and (draws,) the same with reassigned gaps; NaN if no τ is defined."""
    chosen = np.flatnonzero((matrix.keys[MEASURE] == "renyi") & (matrix.keys[LAYER] == layer))
    orders = matrix.keys[PARAMETER].to_numpy(dtype=float)[chosen]
    taus = np.concatenate([association.taus.tau_b[None, chosen], association.permuted[:, chosen]])
    if len(chosen) == 0 or not np.isfinite(taus[0]).any():
        return np.nan, np.full(len(association.permuted), np.nan)
    best = orders[np.where(np.isfinite(taus), taus, -np.inf).argmax(axis=1)]
    return float(best[0]), best[1:]


def _beside(matches: int, chance: FloatArray) -> tuple[float, float]:
    """Mean number of matches by chance, and the p-value of the observed number, which is one of the possible ones."""
    everything = np.append(chance, matches)
    return float(everything.mean()), float((everything >= matches).mean())


def _clusters(spectrum: SpectralQuadrature) -> SpectralClusters | None:
    try:
        return find_spectral_clusters(spectrum)
    except UndefinedMeasureError:  # a dead network has no kind and counts as left out
        return None
