"""Figures 1 and 5–7 of the paper: the spectrum of each layer, its class, and whether the class foretells the order.

The paper sorts spectra by eye: several clusters of eigenvalues call for an order below 1, a single one for an order
above 1. The classifier here is an invention of this software. It sees the spectrum alone, never a gap.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.figures.style import COLOURS, SMALL, Drawn, new_figure, plain
from analysis.names import layer_name
from analysis.results import Spectra
from analysis.schema import ALL_LAYERS, LAYER, MEASURE, TRAIN_LOSS, TRIAL_ID
from analysis.spectrum import SpectralQuadrature
from analysis.statistics.resampling import FloatArray
from analysis.verdict import Evidence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "spectra"
GRID = 201
BANDWIDTH = 0.015  # of the largest magnitude
FLOOR = 1e-6  # of the highest density; less is not drawn, and not a cluster
PROMINENCE = 1.0  # decades that a density must fall between two clusters
MOST_ACROSS = 5


@dataclass(frozen=True)
class LayerSpectrum:
    """The smoothed spectrum of one layer of one network."""

    layer: str
    eigenvalues: FloatArray  # (GRID,) in units of the largest magnitude
    density: FloatArray  # (GRID,) integrates to 1
    clusters: int


def layer_spectrum(layer: str, spectrum: SpectralQuadrature) -> LayerSpectrum | None:
    """Density of the eigenvalues in units of the largest, and its number of clusters; None for a zero spectrum.

    A cluster is a peak of the smoothed density that falls by at least a decade towards the next one (bandwidth 1.5 %
    of the largest magnitude, peaks below a millionth of the highest not counted).
    """
    top = float(np.abs(spectrum.nodes[spectrum.weights > 0]).max())
    if top == 0:
        return None
    lowest = min(float(spectrum.nodes.min()) / top, 0.0)
    grid = np.linspace(lowest - 3 * BANDWIDTH, 1 + 3 * BANDWIDTH, GRID)
    scaled = SpectralQuadrature(spectrum.dim, spectrum.nodes / top, spectrum.weights, spectrum.exact)
    density = scaled.density(grid, BANDWIDTH)
    return LayerSpectrum(layer, grid, density, count_clusters(density))


def count_clusters(density: FloatArray) -> int:
    """Peaks of a density that stand a decade above the valleys beside them."""
    from scipy.signal import find_peaks

    logarithm = np.log10(np.maximum(density, FLOOR * density.max()))
    padded = np.concatenate([[logarithm.min() - PROMINENCE], logarithm, [logarithm.min() - PROMINENCE]])
    peaks, _ = find_peaks(padded, prominence=PROMINENCE, height=logarithm.min() + 1e-9)
    return max(len(peaks), 1)


def cluster_table(evidence: Evidence, spectra: Mapping[str, Spectra]) -> pd.DataFrame:
    """Figure 1(d): for each layer, how many networks' spectra are of one cluster and of several, and whether that
    agrees with the order of highest τ on that layer (several: below 1; one: above 1).

    Columns: layer, one_cluster, several_clusters, best_order, matches, mismatches.
    """
    chosen = evidence.selection[evidence.selection[MEASURE] == "renyi"].set_index(LAYER)["paper_parameter"]
    rows = []
    for layer in evidence.matrix.layers:
        found = [layer_spectrum(layer, by_layer[layer]) for by_layer in spectra.values() if layer in by_layer]
        several = sum(spectrum.clusters > 1 for spectrum in found if spectrum is not None)
        one = sum(spectrum.clusters == 1 for spectrum in found if spectrum is not None)
        order = float(chosen.get(layer, np.nan))
        matches = several if order < 1 else one if order > 1 else 0
        rows.append((layer, one, several, order, matches, one + several - matches if np.isfinite(order) else 0))
    return pd.DataFrame(
        rows, columns=[LAYER, "one_cluster", "several_clusters", "best_order", "matches", "mismatches"]
    )


def typical_trial(evidence: Evidence, spectra: Mapping[str, Spectra]) -> str | None:
    """The trial of median training loss among those with spectra: chosen without a look at the gap."""
    trials = evidence.matrix.trials
    known = trials[trials[TRIAL_ID].isin(list(spectra))].sort_values([TRAIN_LOSS, TRIAL_ID])
    return str(known[TRIAL_ID].iloc[len(known) // 2]) if len(known) else None


def draw_spectra(shown: list[LayerSpectrum]) -> "Figure":
    """The figure: a panel a layer, the density on a logarithmic scale."""
    across = min(len(shown), MOST_ACROSS)
    down = -(-len(shown) // across)
    figure = new_figure(1.9 * max(across, 2) + 0.3, 1.75 * down + 0.3)
    axes = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
    for ax, spectrum in zip(axes, shown, strict=False):
        drawn = np.where(spectrum.density >= FLOOR * spectrum.density.max(), spectrum.density, np.nan)
        ax.semilogy(spectrum.eigenvalues, drawn, color=COLOURS[0], linewidth=1)
        words = "one cluster" if spectrum.clusters == 1 else f"{spectrum.clusters} clusters"
        ax.set_title(f"{layer_name(spectrum.layer)}\n{words}", fontsize=SMALL)
        ax.set_xlabel("eigenvalue / largest", fontsize=SMALL)
        plain(ax)
    for ax in axes[len(shown) :]:
        ax.set_visible(False)
    for ax in axes[::across]:
        ax.set_ylabel("density", fontsize=SMALL)
    return figure


def spectra_figure(evidence: Evidence, spectra: Mapping[str, Spectra]) -> Drawn | None:
    """The figure with its caption and numbers; None where no spectrum was kept."""
    trial = typical_trial(evidence, spectra)
    if trial is None:
        return None
    layers = [layer for layer in evidence.matrix.layers if layer in spectra[trial]]
    shown = [found for layer in layers if (found := layer_spectrum(layer, spectra[trial][layer])) is not None]
    if not shown:
        return None
    numbers = pd.concat(
        [
            pd.DataFrame({LAYER: item.layer, "eigenvalue": item.eigenvalues, "density": item.density})
            for item in shown
        ],
        ignore_index=True,
    )
    caption = (
        f"Hessian spectra of trial {trial}, the one of median training loss: density of the eigenvalues in units of the "
        f"largest, logarithmic, smoothed by {BANDWIDTH:.1%} of it. Clusters are counted by this software's own rule (a "
        "fall of a decade between peaks), not the paper's eye, and without a look at the gap."
    )
    return Drawn(NAME, f"Spectra of each layer{' and of all' * (ALL_LAYERS in layers)}", caption, numbers, draw_spectra(shown))
