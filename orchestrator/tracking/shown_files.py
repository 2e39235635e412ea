"""What of a trial's measurement the MLflow UI can show: its table as CSV, its spectra as a picture."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from analysis.report.figures.style import COLOURS, DASHES
from analysis.results.parquet import spectra_from_parquet
from analysis.schema import ALL_LAYERS
from analysis.spectrum.quadrature import Quadratures, SpectralQuadrature

GRID = 201
BANDWIDTH = 0.02  # of the largest magnitude
FLOOR = 1e-6  # of the highest density; less is not drawn
DPI = 90
MOST_NAMED = 12  # blocks in the legend


def measurements_csv(measurements: bytes) -> bytes:
    """The table of a Parquet file as CSV."""
    buffer = io.BytesIO()
    pa_csv.write_csv(pq.read_table(pa.BufferReader(measurements)), buffer)
    return buffer.getvalue()


def spectrum_png(spectra: bytes) -> bytes | None:
    """The spectra of a Parquet file as one picture; None if there is none that is not zero."""
    found = {layer: spectrum for layer, spectrum in spectra_from_parquet(spectra).items() if largest(spectrum) > 0}
    return _drawn(found) if found else None


def largest(spectrum: SpectralQuadrature) -> float:
    """The largest magnitude of an eigenvalue."""
    return float(np.abs(spectrum.nodes[spectrum.weights > 0]).max(initial=0.0))


def _drawn(spectra: Quadratures) -> bytes:
    """Densities, each over the eigenvalues in units of its largest, which the legend has. About 0.1 s of one core:
    parts have fixed places, since to arrange them would take three times as long as to draw them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4))
    ax = figure.add_axes((0.08, 0.13, 0.6, 0.83))
    for number, (layer, spectrum) in enumerate(sorted(spectra.items(), key=lambda item: item[0] != ALL_LAYERS)):
        top = largest(spectrum)
        lowest = min(float(spectrum.nodes.min()) / top, 0.0)
        grid = np.linspace(lowest - 3 * BANDWIDTH, 1 + 3 * BANDWIDTH, GRID)
        density = top * spectrum.density(top * grid, top * BANDWIDTH)
        whole = layer == ALL_LAYERS
        ax.plot(
            grid,
            np.log10(np.where(density >= FLOOR * density.max(), density, np.nan)),
            color="black" if whole else COLOURS[number % len(COLOURS)],
            linestyle="-" if whole else DASHES[number // len(COLOURS) % len(DASHES)],
            linewidth=1.8 if whole else 0.9,
            label=f"{top:.3g}: {layer}" if number < MOST_NAMED else None,
        )
    ax.set_xlabel("eigenvalue / largest of the block")
    ax.set_ylabel("density, log10")
    left_out = len(spectra) - MOST_NAMED
    title = "largest eigenvalue: block" + (f" (and {left_out} more)" if left_out > 0 else "")
    legend = ax.legend(
        fontsize=6, title=title, title_fontsize=6, loc="upper left", bbox_to_anchor=(1, 1), frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # a layer's name is what its author chose
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
