import pytest

from analysis.settings import SharpnessSettings
from analysis.sharpness.measures.spectral import from_spectra
from analysis.sharpness.subject import Subject
from analysis.spectrum.quadrature import SpectralQuadrature
from tests.analysis.sharpness.networks import perceptron, samples


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject(perceptron(), *samples(), SharpnessSettings(orders=(0.5, 1.5), estimator="exact"))


def test_rows_are_read_from_the_subjects_spectra(subject: Subject) -> None:
    entropies = {(row.layer, row.parameter): row.value for row in from_spectra(subject, "renyi")}
    traces = {row.layer: row.value for row in from_spectra(subject, "trace")}
    largest = {row.layer: row.value for row in from_spectra(subject, "lambda_max")}
    assert set(traces) == set(largest) == set(subject.spectra)
    for layer, spectrum in subject.spectra.items():
        assert isinstance(spectrum, SpectralQuadrature)
        for order in (0.5, 1.5):
            assert entropies[layer, order] == -spectrum.renyi_entropy(order).value
        assert (traces[layer], largest[layer]) == (spectrum.trace().value, spectrum.lambda_max())


def test_gauss_newton_entropies_are_those_of_its_own_spectra(subject: Subject) -> None:
    rows = from_spectra(subject, "renyi_gauss_newton")
    assert {row.measure for row in rows} == {"renyi_gauss_newton"}
    assert {row.layer for row in rows} == set(subject.gauss_newton_spectra) == {"all"}  # ReLU: the layers' are the same
