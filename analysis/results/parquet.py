"""Measurements and spectra of a trial as Parquet, in memory."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.schema import LAYER, MEASURE, PARAMETER, REASON, STDERR, VALUE, Measurement
from analysis.spectrum.quadrature import SpectralQuadrature

NUMBERS = (PARAMETER, VALUE, STDERR, "probe", "node", "weight", "dim", "noise", "num_products")  # columns
MOST_ROWS, MOST_BYTES = 20_000_000, 2**31  # of one trial

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
    """A table in Parquet. Its pages are compared with their checksums, where they have some.

    Raises:
        ValueError: it is damaged, has text where numbers belong, or would unfold to more than any measurement is.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
        rows, groups = file.metadata.num_rows, range(file.metadata.num_row_groups)
        size = sum(file.metadata.row_group(group).total_byte_size for group in groups)
        if rows > MOST_ROWS or size > MOST_BYTES:
            raise ValueError(f"would unfold to {rows} rows, {size} bytes; at most {MOST_ROWS}, {MOST_BYTES} are read")
        table = file.read()
    except OSError as error:
        raise ValueError(str(error)) from error
    for name in NUMBERS:
        kind = table.schema.field(name).type if name in table.column_names else pa.null()
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            raise ValueError(f"its column {name} must hold numbers; it holds {kind}")
    return table


def _to_bytes(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()
