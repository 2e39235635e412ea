import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.results.parquet import (
    measurements_from_parquet,
    measurements_to_parquet,
    read_table,
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


def test_a_flipped_bit_is_seen_and_what_would_unfold_without_end_is_not_read() -> None:
    data = measurements_to_parquet([Measurement("all", "l2", None, float(k), 0.5, None) for k in range(2000)])
    unseen = 0
    rng = np.random.default_rng(0)
    for bit in rng.integers(8 * len(data), size=100):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            unseen += measurements_from_parquet(bytes(flipped)) != measurements_from_parquet(data)
        except (ValueError, TypeError, KeyError, RuntimeError):
            continue
    assert unseen <= 3  # in the footer, which has no checksum

    huge = io.BytesIO()
    pq.write_table(pa.table({"value": pa.DictionaryArray.from_arrays(np.zeros(21_000_000, np.int8), ["x"])}), huge)
    assert len(huge.getvalue()) < 100_000
    with pytest.raises(ValueError, match="would unfold to 21000000 rows"):
        read_table(huge.getvalue())


@pytest.mark.parametrize("name", ["value", "dim"])
def test_text_where_numbers_belong_is_refused(name: str) -> None:
    text = io.BytesIO()
    pq.write_table(pa.table({name: ["models:/m/1"]}), text)
    with pytest.raises(ValueError, match=f"its column {name} must hold numbers; it holds string"):
        read_table(text.getvalue())
