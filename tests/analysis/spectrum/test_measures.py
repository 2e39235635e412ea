import pytest

from analysis.errors import UndefinedMeasureError
from analysis.measures import MEASURES
from analysis.schema import Measurement
from analysis.spectrum.measures import SPECTRAL_MEASURES, Spectra
from analysis.spectrum.quadrature import SpectralQuadrature
from tests.analysis.spectrum.test_quadrature import random_quadrature

SPECTRA: Spectra = {
    "exact": SpectralQuadrature.from_eigenvalues([4.0, 1.0], dim=3),
    "estimated": random_quadrature(),
    "broken": UndefinedMeasureError("the loss is nan"),
}


def test_every_spectral_measure_of_the_catalogue_has_a_function() -> None:
    assert set(SPECTRAL_MEASURES) == {measure.key for measure in MEASURES.values() if measure.spectra}


def test_the_entropies_are_named_after_the_matrix_they_belong_to() -> None:
    for name in ("renyi", "renyi_gauss_newton"):
        rows = SPECTRAL_MEASURES[name](SPECTRA, (0.5, 1.5))
        assert len(rows) == 2 * len(SPECTRA)
        assert {row.measure for row in rows} == {name}
    assert rows[-1] == Measurement("broken", name, 1.5, None, None, "the loss is nan")


def test_trace_and_largest_eigenvalue_have_an_error_of_zero_only_if_they_are_exact() -> None:
    exact, estimated, broken = SPECTRAL_MEASURES["trace"](SPECTRA, ())
    assert exact.value == pytest.approx(5.0)
    assert exact.stderr == 0.0
    assert estimated.stderr is not None
    assert estimated.stderr > 0
    assert (broken.value, broken.reason) == (None, "the loss is nan")
    exact, estimated, broken = SPECTRAL_MEASURES["lambda_max"](SPECTRA, ())
    assert (exact.value, exact.stderr, estimated.stderr, broken.value) == (4.0, 0.0, None, None)
