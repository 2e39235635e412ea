"""What of a trial's measurement the MLflow UI can show: its table as CSV, its spectra as a picture."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from analysis.report.figures.style import COLOURS, DASHES, new_figure
from analysis.results.parquet import spectra_from_parquet
from analysis.schema import ALL_LAYERS
from analysis.spectrum.quadrature import Quadratures, SpectralQuadrature

GRID = 201
BANDWIDTH = 0.02  # of the largest magnitude
FLOOR = 1e-6  # of the highest density; less is not drawn
DPI = 110
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
    """Densities, each over the eigenvalues in units of its largest, which the legend has."""
    figure = new_figure(7, 4)
    ax = figure.subplots()
    for number, (layer, spectrum) in enumerate(sorted(spectra.items(), key=lambda item: item[0] != ALL_LAYERS)):
        top = largest(spectrum)
        lowest = min(float(spectrum.nodes.min()) / top, 0.0)
        grid = np.linspace(lowest - 3 * BANDWIDTH, 1 + 3 * BANDWIDTH, GRID)
        density = top * spectrum.density(top * grid, top * BANDWIDTH)
        whole = layer == ALL_LAYERS
        ax.semilogy(
            grid,
            np.where(density >= FLOOR * density.max(), density, np.nan),
            color="black" if whole else COLOURS[number % len(COLOURS)],
            linestyle="-" if whole else DASHES[number // len(COLOURS) % len(DASHES)],
            linewidth=1.8 if whole else 0.9,
            label=f"{layer}: largest {top:.3g}" if number < MOST_NAMED else None,
        )
    ax.set_xlabel("eigenvalue / largest of the block")
    ax.set_ylabel("density")
    left_out = len(spectra) - MOST_NAMED
    title = f"and {left_out} more" if left_out > 0 else None
    ax.legend(fontsize=6, title=title, title_fontsize=6, loc="upper right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
