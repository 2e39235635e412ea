import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.spectrum.quadrature import SpectralQuadrature
from analysis.spectrum.rules import Companion, Ending, Role


def quadrature() -> SpectralQuadrature:
    rng = np.random.default_rng(0)
    weights = rng.random((3, 4))
    radau = Companion(Role.RADAU, rng.random((3, 5)), np.full((3, 5), 0.2))
    nodes = rng.normal(size=(3, 4))
    weights /= weights.sum(1, keepdims=True)
    return SpectralQuadrature(
        9, nodes, weights, radau, 1e-9, 123, "ritz", Ending.TOLERANCE, "r_operator", "the cheapest of 2"
    )


def test_everything_survives_parquet_bit_for_bit() -> None:
    before = quadrature()
    buffer = io.BytesIO()
    pq.write_table(before.to_table(), buffer)
    after = SpectralQuadrature.from_table(pq.read_table(io.BytesIO(buffer.getvalue())))
    np.testing.assert_array_equal(after.nodes, before.nodes)
    np.testing.assert_array_equal(after.weights, before.weights)
    assert after.companion is not None
    assert before.companion is not None
    assert after.companion.role is Role.RADAU
    np.testing.assert_array_equal(after.companion.nodes, before.companion.nodes)
    np.testing.assert_array_equal(after.companion.weights, before.companion.weights)
    for name in ("dim", "noise", "num_products", "estimator", "ending", "engine", "engine_reason"):
        assert getattr(after, name) == getattr(before, name)
    assert after.renyi_entropy(0.5) == before.renyi_entropy(0.5)


def test_stacked_tables_come_apart_again() -> None:
    spectra = {"a": quadrature(), "b": SpectralQuadrature.from_eigenvalues([2.0, 1.0], dim=4)}
    tables = [
        spectrum.to_table().append_column("layer", pa.array([layer] * spectrum.to_table().num_rows))
        for layer, spectrum in spectra.items()
    ]
    stacked = pa.concat_tables(tables)
    for layer, spectrum in spectra.items():
        again = SpectralQuadrature.from_table(stacked.filter(pa.compute.equal(stacked["layer"], layer)))
        assert again.renyi_entropy(1.5) == spectrum.renyi_entropy(1.5)
        assert again.ending is spectrum.ending


def test_tables_without_engines_can_be_read() -> None:
    """As they were written before engines were recorded."""
    older = quadrature().to_table().drop_columns(["engine", "engine_reason"])
    assert SpectralQuadrature.from_table(older).engine == ""


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(ValueError, match="must have rows"):
        SpectralQuadrature.from_table(quadrature().to_table().slice(0, 0))
