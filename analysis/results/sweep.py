"""The results of a sweep, wherever they are kept: its rows in one tidy table, and what became of its trials."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis import schema
from analysis.spectrum.quadrature import Quadratures

if TYPE_CHECKING:
    pass

READING_THREADS = 8  # files of different trials are read side by side


@dataclass(frozen=True)
class TrialRecord:
    """What one measured trial leaves, wherever it is kept."""

    trial_id: str
    parameters: Mapping[str, object]  # model, optimizer, learning_rate, …
    generalization: Mapping[str, float]  # gap_loss, test_accuracy, …
    measurements: pa.Table  # one row a measurement, as `analysis.results.parquet` writes them


@dataclass(frozen=True)
class SweepResults:
    """A sweep as it stands: the measured trials, and what became of the others."""

    name: str
    table: pd.DataFrame  # as `load_results` gives it
    states: Mapping[str, int]  # how many trials are in each state
    failures: Mapping[str, str] = field(default_factory=dict)  # trial_id → reason
    spectra: Mapping[str, Quadratures] = field(default_factory=dict)  # trial_id → its quadratures by layer
    source: str = ""  # where all this was read


def tidy_table(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """One row a (trial, layer, measure, parameter), trials in the order of their ids."""
    ordered = sorted(records, key=lambda record: record.trial_id)
    if not ordered:
        return pd.DataFrame(columns=[*schema.MEASUREMENT_COLUMNS, schema.TRAIN_LOSS, schema.GAP_LOSS, schema.GAP_ERROR])
    rows: pd.DataFrame = pa.concat_tables([record.measurements for record in ordered]).to_pandas()
    trials = pd.DataFrame(
        [{schema.TRIAL_ID: record.trial_id, **record.parameters, **record.generalization} for record in ordered]
    )
    repeated = trials.loc[np.repeat(np.arange(len(ordered)), [record.measurements.num_rows for record in ordered])]
    return pd.concat([rows, repeated.reset_index(drop=True)], axis=1)
