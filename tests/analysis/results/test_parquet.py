import numpy as np

from analysis.results.parquet import (
    measurements_from_parquet,
    measurements_to_parquet,
    spectra_from_parquet,
    spectra_to_parquet,
)
from analysis.schema import Measurement
from analysis.spectrum.quadrature import SpectralQuadrature


def test_measurements_come_back_as_they_were() -> None:
    rows = [
        Measurement("conv1.weight", "renyi", 0.5, -2.5, 0.01),
        Measurement("all", "trace", None, None, None, "the loss is nan"),
    ]
    assert measurements_from_parquet(measurements_to_parquet(rows)) == rows


def test_spectra_come_back_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    weights = rng.random((3, 4))
    spectra = {
        "a.weight": SpectralQuadrature(7, rng.normal(size=(3, 4)), weights / weights.sum(axis=1, keepdims=True)),
        "all": SpectralQuadrature.from_eigenvalues([1.0, 2.0], dim=5),
    }
    again = spectra_from_parquet(spectra_to_parquet(spectra))
    assert list(again) == list(spectra)
    for layer, spectrum in spectra.items():
        assert again[layer].dim == spectrum.dim
        np.testing.assert_array_equal(again[layer].nodes, spectrum.nodes)
        np.testing.assert_array_equal(again[layer].weights, spectrum.weights)
        assert again[layer].renyi_entropy(1.5) == spectrum.renyi_entropy(1.5)


def test_a_network_without_any_spectrum_leaves_an_empty_file() -> None:
    assert spectra_from_parquet(spectra_to_parquet({})) == {}
