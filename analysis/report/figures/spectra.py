"""Figures 1 and 5–7 of the paper: the spectrum of each layer, and its kind."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.report.cluster_table import TOGETHER
from analysis.report.evidence import Evidence
from analysis.report.figures.style import COLOURS, SMALL, Drawn, new_figure, plain, sparse_decades
from analysis.report.statements import LEVEL
from analysis.report.wording import layer_name, p_text
from analysis.schema import ALL_LAYERS, LAYER, TRAIN_LOSS, TRIAL_ID
from analysis.spectrum.clusters import SpectrumKind, find_spectral_clusters, largest_magnitudes
from analysis.spectrum.quadrature import Quadratures, SpectralQuadrature
from analysis.statistics.resampling import FloatArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "spectra"
GRID = 201
BANDWIDTH = 0.015  # of the largest magnitude
FLOOR = 1e-6  # of the highest density; less is not drawn
MOST_ACROSS = 5
TITLE_WIDTH = 26  # characters in a line over a panel


@dataclass(frozen=True)
class LayerSpectrum:
    """The smoothed spectrum of one layer of one network."""

    layer: str
    eigenvalues: FloatArray  # (GRID,) in units of the largest magnitude
    density: FloatArray  # (GRID,) integrates to 1
    kind: SpectrumKind
    gaps: tuple[tuple[float, float], ...] = ()  # magnitudes between which the rule cut, in units of the largest
    apart: float = 0.0  # eigenvalues beyond the first gap
    largest: tuple[float, ...] = ()  # magnitudes, descending
    title: str = ""  # of the layer


def layer_spectrum(layer: str, spectrum: SpectralQuadrature, title: str = "") -> LayerSpectrum | None:
    """Density of the eigenvalues in units of the largest, and the spectrum's kind; None if the spectrum is zero."""
    top = float(np.abs(spectrum.nodes[spectrum.weights > 0]).max())
    if top == 0:
        return None
    lowest = min(float(spectrum.nodes.min()) / top, 0.0)
    grid = np.linspace(lowest - 3 * BANDWIDTH, 1 + 3 * BANDWIDTH, GRID)
    found = find_spectral_clusters(spectrum)
    density = top * spectrum.density(top * grid, top * BANDWIDTH)
    largest = tuple(largest_magnitudes(spectrum))
    return LayerSpectrum(
        layer, grid, density, found.kind, found.gaps, found.beyond_first_gap, largest, title or layer_name(layer)
    )


def typical_trial(evidence: Evidence, spectra: Mapping[str, Quadratures]) -> str | None:
    """The trial of median training loss among those with spectra: the gap plays no part in the choice."""
    trials = evidence.matrix.trials
    known = trials[trials[TRIAL_ID].isin(list(spectra))].sort_values([TRAIN_LOSS, TRIAL_ID])
    return str(known[TRIAL_ID].iloc[len(known) // 2]) if len(known) else None


def draw_spectra(shown: list[LayerSpectrum]) -> "Figure":
    """The figure: a panel for each layer, with the density on a logarithmic scale."""
    across = min(len(shown), MOST_ACROSS)
    down = -(-len(shown) // across)
    figure = new_figure(1.9 * max(across, 2) + 0.3, 1.95 * down + 0.3)
    axes = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
    for ax, spectrum in zip(axes, shown, strict=False):
        drawn = np.where(spectrum.density >= FLOOR * spectrum.density.max(), spectrum.density, np.nan)
        ax.semilogy(spectrum.eigenvalues, drawn, color=COLOURS[0], linewidth=1)
        lowest = spectrum.eigenvalues[0]
        for low, high in spectrum.gaps:
            ax.axvspan(low, high, color=COLOURS[4], alpha=0.18, linewidth=0)
            if -low > lowest:
                ax.axvspan(max(-high, lowest), -low, color=COLOURS[4], alpha=0.18, linewidth=0)
        ax.set_title(_said(spectrum), fontsize=SMALL)
        ax.set_xlabel("eigenvalue / largest", fontsize=SMALL)
        sparse_decades(ax.yaxis)
        plain(ax)
    for ax in axes[len(shown) :]:
        ax.set_visible(False)
    for ax in axes[::across]:
        ax.set_ylabel("density", fontsize=SMALL)
    return figure


def _spectrum_of(evidence: Evidence, layer: str, spectra: Quadratures) -> LayerSpectrum | None:
    return layer_spectrum(layer, spectra[layer], evidence.matrix.layer_title(layer))


def _said(spectrum: LayerSpectrum) -> str:
    """What stands over a panel: the layer, its kind, how many eigenvalues are apart, and the largest ones."""
    largest = ", ".join(f"{value:.3g}" for value in spectrum.largest)
    kind = f"{spectrum.kind.value}; {spectrum.apart:.0f} beyond the gap" if spectrum.gaps else spectrum.kind.value
    return f"{textwrap.fill(spectrum.title, TITLE_WIDTH)}\n{kind}\n|λ|: {largest} …"


def _predicted(evidence: Evidence) -> str:
    """How well the kinds predict the side of α = 1 on which the best order lies, beside chance, in a sentence."""
    rows = evidence.clusters[evidence.clusters[LAYER] == TOGETHER] if len(evidence.clusters) else evidence.clusters
    cases = float(rows["matches"].iloc[0] + rows["mismatches"].iloc[0]) if len(rows) else 0.0
    if not cases:
        return "The kinds predict no order here."
    row = rows.iloc[0]
    better = bool(row["p_value"] < LEVEL)
    return (
        f"The kind predicts on which side of α = 1 the best order lies in {row['matches']:.0f} of {cases:.0f} cases (a "
        f"network and a layer); chance alone gives {row['chance_matches']:.0f} ({p_text(row['p_value'])}), so it "
        f"predicts {'better than chance' if better else 'no better than chance'}."
    )


def spectra_figure(evidence: Evidence, spectra: Mapping[str, Quadratures]) -> Drawn | None:
    """The figure with its caption and numbers; None if no spectrum is stored."""
    trial = typical_trial(evidence, spectra)
    if trial is None:
        return None
    layers = [layer for layer in evidence.matrix.layers if layer in spectra[trial]]
    shown = [found for layer in layers if (found := _spectrum_of(evidence, layer, spectra[trial])) is not None]
    if not shown:
        return None
    numbers = pd.concat(
        [pd.DataFrame({LAYER: item.layer, "eigenvalue": item.eigenvalues, "density": item.density}) for item in shown],
        ignore_index=True,
    )
    caption = (
        f"Hessian spectra of trial {trial}, which has the median training loss: density of the eigenvalues in units "
        f"of the largest, on a logarithmic scale, smoothed by {BANDWIDTH:.1%} of the largest. Over each panel: its "
        "kind, how many eigenvalues lie beyond the first gap, and the largest magnitudes. A rule of this software "
        "decides the kind by the spectrum alone, by gaps of more than a tenth of the axis, which are shaded; the "
        f"paper sorts by eye. {_predicted(evidence)}"
    )
    return Drawn(
        NAME,
        f"Spectrum of each layer{' and of all layers' * (ALL_LAYERS in layers)}",
        caption,
        numbers,
        draw_spectra(shown),
    )
