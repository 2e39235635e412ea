"""Spectral quadratures as tables of plain columns, for Parquet."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.spectrum.rules import Companion, Ending, Role

if TYPE_CHECKING:
    import pyarrow as pa

SHARED = (
    "dim",
    "noise",
    "num_products",
    "estimator",
    "engine",
    "engine_reason",
)  # the same in every row
GAUSS = "gauss"  # the first rule's name; a second rule has that of its Role


def to_table(fields: Mapping[str, Any]) -> "pa.Table":
    """The fields of a `SpectralQuadrature` as a pyarrow table, one row a node.

    Columns: rule ("gauss" or the companion's role), probe, node, weight; and, the same in every row and so almost
    free in Parquet, dim, noise, num_products, estimator, ending, engine, engine_reason. Tables of several layers can
    be stacked under a column of their own.
    """
    import pyarrow as pa

    rules = [(GAUSS, fields["nodes"], fields["weights"])]
    companion: Companion | None = fields["companion"]
    if companion:
        rules.append((companion.role.value, companion.nodes, companion.weights))
    columns = {
        "rule": np.concatenate([np.full(nodes.size, name) for name, nodes, _ in rules]),
        "probe": np.concatenate([np.repeat(np.arange(len(nodes)), nodes.shape[1]) for _, nodes, _ in rules]),
        "node": np.concatenate([nodes.ravel() for _, nodes, _ in rules]),
        "weight": np.concatenate([weights.ravel() for _, _, weights in rules]),
    }
    num_rows = columns["node"].size
    shared = {name: fields[name] for name in (*SHARED, "ending")}
    return pa.table({**columns, **{name: np.full(num_rows, value) for name, value in shared.items()}})


def from_table(table: "pa.Table") -> dict[str, Any]:
    """The fields that `to_table` wrote, bit for bit; other columns are ignored.

    Tables written before engines were recorded lack those two columns: both are then empty.

    Raises:
        ValueError: the table holds no row.
    """
    if table.num_rows == 0:
        raise ValueError("the table of a quadrature must have rows; got none")
    names = np.asarray(table["rule"].to_pylist())
    rules = {}
    for name in dict.fromkeys(names):
        here = names == name
        num_probes = int(table["probe"].to_numpy()[here].max()) + 1
        rules[str(name)] = tuple(table[key].to_numpy()[here].reshape(num_probes, -1) for key in ("node", "weight"))
    nodes, weights = rules.pop(GAUSS)
    companion = next((Companion(Role(name), *rule) for name, rule in rules.items()), None)
    first = {name: table[name][0].as_py() for name in SHARED if name in table.column_names}
    ending = Ending(table["ending"][0].as_py())
    return {"nodes": nodes, "weights": weights, "companion": companion, "ending": ending, **first}
