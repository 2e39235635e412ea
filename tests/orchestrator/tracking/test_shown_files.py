"""What the MLflow UI shows of a trial's measurement."""

import io

import pandas as pd
from matplotlib.image import imread

from analysis.results.parquet import measurements_to_parquet, spectra_to_parquet
from analysis.settings import SharpnessSettings
from analysis.spectrum.quadrature import SpectralQuadrature
from orchestrator.tracking.shown_files import measurements_csv, spectrum_png
from tests.orchestrator.made_up import SPECTRA, measured


def test_the_table_has_the_rows_of_the_parquet_file() -> None:
    rows = measured(SharpnessSettings(measures=("renyi", "trace"), orders=(0.5, 1.5))).rows
    found = pd.read_csv(io.BytesIO(measurements_csv(measurements_to_parquet(rows))))
    assert list(found["value"]) == [row.value for row in rows]
    assert list(found["layer"]) == [row.layer for row in rows]


def test_the_picture_has_a_line_for_each_block_and_is_none_without_curvature() -> None:
    one, two = ({"a": SPECTRA["fc.weight"]}, {"a": SPECTRA["fc.weight"], **SPECTRA})
    sizes = [imread(io.BytesIO(png)) for found in (one, two) if (png := spectrum_png(spectra_to_parquet(found)))]
    assert [size.shape for size in sizes] == [sizes[0].shape] * 2
    assert (sizes[0] != sizes[1]).any()
    assert spectrum_png(spectra_to_parquet({"a": SpectralQuadrature.from_eigenvalues([0.0, 0.0])})) is None
