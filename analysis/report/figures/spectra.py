"""Figures 1 and 5–7 of the paper: the spectrum of each layer, and its kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.report.evidence import Evidence
from analysis.report.figures.style import COLOURS, SMALL, Drawn, new_figure, plain, sparse_decades
from analysis.report.wording import layer_name
from analysis.schema import ALL_LAYERS, LAYER, TRAIN_LOSS, TRIAL_ID
from analysis.spectrum.clusters import SpectrumKind, find_spectral_clusters
from analysis.spectrum.quadrature import Quadratures, SpectralQuadrature
from analysis.statistics.resampling import FloatArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "spectra"
GRID = 201
BANDWIDTH = 0.015  # of the largest magnitude
FLOOR = 1e-6  # of the highest density; less is not drawn
MOST_ACROSS = 5


@dataclass(frozen=True)
class LayerSpectrum:
    """The smoothed spectrum of one layer of one network."""

    layer: str
    eigenvalues: FloatArray  # (GRID,) in units of the largest magnitude
    density: FloatArray  # (GRID,) integrates to 1
    kind: SpectrumKind


def layer_spectrum(layer: str, spectrum: SpectralQuadrature) -> LayerSpectrum | None:
    """Density of the eigenvalues in units of the largest, and the spectrum's kind; None if the spectrum is zero."""
    top = float(np.abs(spectrum.nodes[spectrum.weights > 0]).max())
    if top == 0:
        return None
    lowest = min(float(spectrum.nodes.min()) / top, 0.0)
    grid = np.linspace(lowest - 3 * BANDWIDTH, 1 + 3 * BANDWIDTH, GRID)
    return LayerSpectrum(
        layer, grid, top * spectrum.density(top * grid, top * BANDWIDTH), find_spectral_clusters(spectrum).kind
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
    figure = new_figure(1.9 * max(across, 2) + 0.3, 1.75 * down + 0.3)
    axes = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
    for ax, spectrum in zip(axes, shown, strict=False):
        drawn = np.where(spectrum.density >= FLOOR * spectrum.density.max(), spectrum.density, np.nan)
        ax.semilogy(spectrum.eigenvalues, drawn, color=COLOURS[0], linewidth=1)
        ax.set_title(f"{layer_name(spectrum.layer)}\n{spectrum.kind.value}", fontsize=SMALL)
        ax.set_xlabel("eigenvalue / largest", fontsize=SMALL)
        sparse_decades(ax.yaxis)
        plain(ax)
    for ax in axes[len(shown) :]:
        ax.set_visible(False)
    for ax in axes[::across]:
        ax.set_ylabel("density", fontsize=SMALL)
    return figure


def spectra_figure(evidence: Evidence, spectra: Mapping[str, Quadratures]) -> Drawn | None:
    """The figure with its caption and numbers; None if no spectrum is stored."""
    trial = typical_trial(evidence, spectra)
    if trial is None:
        return None
    layers = [layer for layer in evidence.matrix.layers if layer in spectra[trial]]
    shown = [found for layer in layers if (found := layer_spectrum(layer, spectra[trial][layer])) is not None]
    if not shown:
        return None
    numbers = pd.concat(
        [pd.DataFrame({LAYER: item.layer, "eigenvalue": item.eigenvalues, "density": item.density}) for item in shown],
        ignore_index=True,
    )
    caption = (
        f"Hessian spectra of trial {trial}, which has the median training loss: density of the eigenvalues in units "
        f"of the largest, on a logarithmic scale, smoothed by {BANDWIDTH:.1%} of the largest. A rule of this software, "
        "which uses the spectrum alone, decides the kind (clusters are separated by a tenth of the axis); the paper "
        "sorts by eye."
    )
    return Drawn(
        NAME,
        f"Spectrum of each layer{' and of all layers' * (ALL_LAYERS in layers)}",
        caption,
        numbers,
        draw_spectra(shown),
    )
