"""Spectra of several blocks as text, HTML, table and picture."""

import numpy as np
import pytest

from analysis.spectrum.layers import LayerSpectra
from analysis.spectrum.quadrature import SpectralQuadrature

TWO = SpectralQuadrature.from_eigenvalues([4.0, 1.0, -1.0, 0.0])
SPECTRA = LayerSpectra({"<fc>.weight": TWO, None: SpectralQuadrature.from_eigenvalues([0.0, 0.0])})


def test_text_and_html() -> None:
    lines = repr(SPECTRA).splitlines()
    assert lines[1].split()[:4] == ["<fc>.weight", "4", "4", "4"]
    assert lines[2].split() == ["all", "2", "0", "0", *["undefined"] * 4, "exact"]
    assert "&lt;fc&gt;.weight" in SPECTRA._repr_html_()
    assert "of 4 eigenvalues" in repr(TWO)
    assert "<table>" in TWO._repr_html_()


def test_the_table_has_the_quantities_that_are_defined() -> None:
    frame = SPECTRA.to_frame(orders=(0.5, 2.0))
    assert frame.measure.tolist() == ["trace", "lambda_max", "entropy", "entropy", "trace", "lambda_max"]
    entropy = frame[(frame.parameter == 2.0)].value.item()
    assert entropy == pytest.approx(-np.log((16 + 1 + 1) / 36))
    assert TWO.to_frame().measure.tolist() == ["trace", "lambda_max", *["entropy"] * 4]


def test_the_picture_counts_eigenvalues_by_magnitude() -> None:
    counts, entropies = SPECTRA.plot(orders=(0.5, 2.0)).axes
    assert np.asarray(counts.lines[0].get_xydata()).tolist() == [[1.0, 3.0], [1.0, 2.0], [4.0, 1.0]]
    assert np.asarray(entropies.lines[0].get_xdata()).tolist() == [0.5, 2.0]
    assert TWO.plot() is not None
