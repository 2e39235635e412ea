"""Measurements and spectra as Parquet, in memory: what a trial leaves for good."""

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.schema import LAYER, MEASURE, PARAMETER, REASON, STDERR, VALUE, Measurement
from analysis.spectrum import SpectralQuadrature

_SCHEMA = pa.schema(
    [
        (LAYER, pa.string()),
        (MEASURE, pa.string()),
        (PARAMETER, pa.float64()),
        (VALUE, pa.float64()),
        (STDERR, pa.float64()),
        (REASON, pa.string()),
    ]
)
_SPECTRA = b"spectra"  # key of the file's metadata: each layer's own metadata, as JSON


def measurements_to_parquet(measurements: Iterable[Measurement]) -> bytes:
    """One row a measurement; missing values are null, never a sentinel."""
    return _to_bytes(pa.Table.from_pylist([asdict(row) for row in measurements], schema=_SCHEMA))


def measurements_from_parquet(data: bytes) -> list[Measurement]:
    """What `measurements_to_parquet` wrote."""
    return [Measurement(**row) for row in pq.read_table(io.BytesIO(data)).to_pylist()]


def spectra_to_parquet(spectra: Mapping[str, SpectralQuadrature]) -> bytes:
    """The raw quadratures of all layers in one table: that of `SpectralQuadrature.to_table`, with a column `layer`."""
    tables, metadata = [], {}
    for layer, spectrum in spectra.items():
        table = spectrum.to_table()
        metadata[layer] = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        table = table.replace_schema_metadata(None)
        tables.append(table.add_column(0, LAYER, pa.array([layer] * table.num_rows, pa.string())))
    whole = pa.concat_tables(tables) if tables else pa.table({LAYER: pa.array([], pa.string())})
    return _to_bytes(whole.replace_schema_metadata({_SPECTRA: json.dumps(metadata)}))


def spectra_from_parquet(data: bytes) -> dict[str, SpectralQuadrature]:
    """What `spectra_to_parquet` wrote, by layer."""
    whole = pq.read_table(io.BytesIO(data))
    metadata = json.loads(whole.schema.metadata[_SPECTRA])
    layers = whole[LAYER].to_pandas()
    return {
        layer: SpectralQuadrature.from_table(
            whole.filter(pa.array(layers == layer)).drop_columns([LAYER]).replace_schema_metadata(own)
        )
        for layer, own in metadata.items()
    }


def _to_bytes(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
