"""The results of a sweep, from any storage: its measurements in one tidy table, and the states of its trials."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis import schema
from analysis.results.study import Study
from analysis.spectrum.quadrature import Quadratures


@dataclass(frozen=True)
class TrialRecord:
    """The results of one measured trial, from any storage."""

    trial_id: str
    parameters: Mapping[str, object]  # model, optimizer, learning_rate, …
    generalization: Mapping[str, float]  # gap_loss, test_accuracy, …
    measurements: pa.Table  # one row for each measurement, as `analysis.results.parquet` writes them
    trained_by: Mapping[str, str] = field(
        default_factory=dict
    )  # versions of code, by what it is; see `analysis.results.remarks`


@dataclass(frozen=True)
class SampledGrid:
    """The grid of which a sweep's trials are a sample: what the trials alone do not show of it."""

    coupled: tuple[frozenset[str], ...] = ()  # axes that move together
    values: Mapping[tuple[str, str], Sequence[object]] = field(default_factory=dict)  # by optimizer and axis, all


@dataclass(frozen=True)
class SweepResults:
    """A sweep at one moment: the results of its measured trials, and the states of all trials."""

    name: str
    table: pd.DataFrame  # as `load_results` returns it
    states: Mapping[str, int]  # how many trials are in each state
    failures: Mapping[str, str] = field(default_factory=dict)  # trial_id → reason
    spectra: Mapping[str, Quadratures] = field(default_factory=dict)  # trial_id → its quadratures by layer
    source: str = ""  # where the results were read: a database's address or a folder
    remarks: tuple[str, ...] = ()  # what a reader must know of the choice of its trials
    grid: SampledGrid | None = None  # of which the trials are a sample; None: they fill it, as far as they are measured
    runs: Mapping[str, str] = field(default_factory=dict)  # trial_id → its run's place among MLflow's pages
    study: Study | None = None  # what a reader must know of the sweep itself; None where nobody has said it


def part_of(results: SweepResults, trial_ids: Collection[str], name: str, part: str) -> SweepResults:
    """The results of some of a sweep's trials, under a name that says so."""
    chosen = set(trial_ids)
    table = results.table[results.table[schema.TRIAL_ID].isin(chosen)] if len(results.table) else results.table
    failures = {trial_id: reason for trial_id, reason in results.failures.items() if trial_id in chosen}
    measured = table[schema.TRIAL_ID].nunique() if len(table) else 0
    states = {"measured": measured, "failed": len(failures), "unfinished": len(chosen) - measured - len(failures)}
    spectra = {trial_id: found for trial_id, found in results.spectra.items() if trial_id in chosen}
    return replace(
        results,
        name=name,
        table=table.reset_index(drop=True),
        states=states,
        failures=failures,
        spectra=spectra,
        remarks=(part, *results.remarks),
    )


def tidy_table(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """One row for each (trial, layer, measure, parameter), trials in the order of their ids.

    Columns of text are categorical: 20 000 trials are millions of rows, and each text is kept once.
    """
    ordered = sorted(records, key=lambda record: record.trial_id)
    if not ordered:
        return pd.DataFrame(columns=[*schema.MEASUREMENT_COLUMNS, schema.TRAIN_LOSS, schema.GAP_LOSS, schema.GAP_ERROR])
    rows = pa.concat_tables([record.measurements for record in ordered], promote_options="permissive")
    columns: dict[str, object] = {name: _column(rows[name]) for name in rows.column_names}
    trials = pd.DataFrame(
        [{schema.TRIAL_ID: record.trial_id, **record.parameters, **record.generalization} for record in ordered]
    )
    counts = [record.measurements.num_rows for record in ordered]
    for name, column in trials.items():
        columns[str(name)] = _repeated(column, counts)
    return pd.DataFrame(columns, copy=False)


def plain_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The table with columns of text as text, as most programs expect them."""
    kinds = {name: kind for name, kind in table.dtypes.items() if isinstance(kind, pd.CategoricalDtype)}
    return table.astype({name: kind.categories.dtype for name, kind in kinds.items()})


def _column(values: pa.ChunkedArray) -> object:
    if pa.types.is_string(values.type):
        values = values.dictionary_encode().unify_dictionaries()
    return values.to_pandas()


def _repeated(column: pd.Series, counts: Sequence[int]) -> object:
    """Each value of a column so many times; text as a categorical."""
    if not pd.api.types.is_string_dtype(column):
        return np.repeat(column.to_numpy(), counts)
    codes, categories = pd.factorize(column)
    return pd.Categorical.from_codes(np.repeat(codes, counts), categories)
