"""Spectra of several blocks together: as text, as a table, as a picture."""

import math
from collections.abc import Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import UndefinedMeasureError
from analysis.presentation import html_table, number, text_table, with_error
from analysis.schema import ALL_LAYERS
from analysis.spectrum.quadrature import Estimate, SpectralQuadrature

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

ORDERS = (0.5, 1.0, 1.5, 2.0)  # whose entropies are shown
WHOLE = ALL_LAYERS  # what stands for None
HEAD = ("layer", "n", "trace", "λ_max", *(f"H_{order:g}" for order in ORDERS), "engine")
CURVE = tuple(round(0.1 * k, 1) for k in range(1, 31))  # the orders that are drawn


class LayerSpectra(dict[str | None, SpectralQuadrature]):
    """Spectra by layer, under None that of all layers; it prints and renders as a table."""

    def __repr__(self) -> str:
        return text_table(HEAD, self._rows())

    def _repr_html_(self) -> str:
        return html_table(HEAD, self._rows(), "spectra; entropies in nats")

    def to_frame(self, orders: Sequence[float] = ORDERS) -> "pd.DataFrame":
        """A row for every layer and quantity.

        Columns: layer, measure (`trace`, `lambda_max`, `entropy`), parameter (the order), value, stderr, ci_low,
        ci_high.
        """
        import pandas as pd

        rows = []
        for layer, spectrum in self.items():
            for measure, order, estimate in _quantities(spectrum, orders):
                rows.append((layer or ALL_LAYERS, measure, order, *astuple(estimate)[:4]))
        return pd.DataFrame(rows, columns=["layer", "measure", "parameter", "value", "stderr", "ci_low", "ci_high"])

    def plot(self, orders: Sequence[float] = CURVE) -> "Figure":
        """Left the spectral density of each layer, as counts over |λ|; right its entropies over the orders."""
        from matplotlib import pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
        for layer, spectrum in self.items():
            name = layer or WHOLE
            sizes, counts = _magnitudes(spectrum)
            if len(sizes):
                left.step(sizes, counts, where="post", label=name, linewidth=1)
            entropies = [(o, e.value) for m, o, e in _quantities(spectrum, orders) if m == "entropy"]
            right.plot(*zip(*entropies, strict=True) if entropies else ((), ()), label=name, linewidth=1)
        left.set(xscale="log", yscale="log", xlabel="|λ|", ylabel="eigenvalues above it")
        right.set(xlabel="order α", ylabel="Rényi entropy (nats)")
        if len(self) <= 12:
            right.legend(fontsize=7, frameon=False)
        plt.close(figure)  # a notebook shows what is returned; an open figure would be shown a second time
        return figure

    def _rows(self) -> list[list[str]]:
        return [_row(layer, spectrum) for layer, spectrum in self.items()]


def _row(layer: str | None, spectrum: SpectralQuadrature) -> list[str]:
    found = {(measure, order): estimate for measure, order, estimate in _quantities(spectrum, ORDERS)}
    keys = [("trace", None), ("lambda_max", None), *(("entropy", order) for order in ORDERS)]
    cells = [with_error(found[key].value, found[key].stderr) if key in found else "undefined" for key in keys]
    return [layer or WHOLE, number(spectrum.dim), *cells, spectrum.engine or spectrum.estimator]


def _quantities(spectrum: SpectralQuadrature, orders: Sequence[float]) -> list[tuple[str, float | None, Estimate]]:
    """Trace, largest eigenvalue and entropies, without those that are not defined, as of a zero block."""
    largest, error = spectrum.lambda_max(), 0.0 if spectrum.exact else math.nan
    found: list[tuple[str, float | None, Estimate]] = [
        ("trace", None, spectrum.trace()),
        ("lambda_max", None, Estimate(largest, error, largest - error, largest + error)),
    ]
    for order in orders:
        try:
            found.append(("entropy", order, spectrum.renyi_entropy(order)))
        except UndefinedMeasureError:
            continue
    return found


def _magnitudes(spectrum: SpectralQuadrature) -> tuple[list[float], list[float]]:
    """|λ| of the nodes above round-off, largest last, and how many eigenvalues are at least as large."""
    sizes = np.abs(spectrum.nodes).ravel()
    counts = spectrum.weights.ravel() * spectrum.dim / spectrum.num_probes
    order = np.argsort(sizes)
    above = np.cumsum(counts[order][::-1])[::-1]
    kept = sizes[order] > spectrum.noise
    return sizes[order][kept].tolist(), above[kept].tolist()
