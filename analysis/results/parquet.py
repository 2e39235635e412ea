"""Measurements and spectra of a trial as Parquet, in memory."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.schema import LAYER, MEASURE, PARAMETER, REASON, STDERR, VALUE, Measurement
from analysis.spectrum.quadrature import SpectralQuadrature

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


def measurements_to_parquet(measurements: Iterable[Measurement]) -> bytes:
    """The measurements as Parquet, one row each; missing values are null, never a sentinel."""
    return _to_bytes(pa.Table.from_pylist([asdict(row) for row in measurements], schema=_SCHEMA))


def measurements_from_parquet(data: bytes) -> list[Measurement]:
    """The measurements that `measurements_to_parquet` wrote."""
    return [Measurement(**row) for row in read_table(data).to_pylist()]


def spectra_to_parquet(spectra: Mapping[str, SpectralQuadrature]) -> bytes:
    """The raw quadratures of all layers in one table: those of `SpectralQuadrature.to_table`, with a column `layer`."""
    tables = [pa.table({LAYER: pa.array([], pa.string())})]
    for layer, spectrum in spectra.items():
        table = spectrum.to_table()
        tables.append(table.add_column(0, LAYER, pa.array([layer] * table.num_rows, pa.string())))
    return _to_bytes(pa.concat_tables(tables, promote_options="default"))


def spectra_from_parquet(data: bytes) -> dict[str, SpectralQuadrature]:
    """The quadratures that `spectra_to_parquet` wrote, by layer."""
    whole = read_table(data)
    return {
        layer: SpectralQuadrature.from_table(whole.filter(pc.equal(whole[LAYER], layer)))
        for layer in whole[LAYER].unique().to_pylist()
    }


def read_table(data: bytes) -> pa.Table:
    """A table in Parquet, whose pages are compared with their checksums, where they have some; ValueError else."""
    try:
        return pq.read_table(io.BytesIO(data), page_checksum_verification=True)
    except OSError as error:
        raise ValueError(str(error)) from error


def _to_bytes(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()
