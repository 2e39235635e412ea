"""From MLflow to one tidy table: the only place where the analysis reads tracked runs."""

import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import schema
from analysis.errors import AnalysisError
from analysis.garbage import no_garbage_collection
from analysis.results.parquet import spectra_from_parquet
from analysis.spectrum.quadrature import SpectralQuadrature

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000
READERS = 8
Spectra = Mapping[str, SpectralQuadrature]  # by layer

_WORDS: dict[str, object] = {"None": None, "True": True, "False": False}


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
    spectra: Mapping[str, Spectra] = field(default_factory=dict)  # trial_id → its quadratures by layer
    source: str = ""  # where all this was read


def load_results(tracking_uri: str, experiment: str) -> pd.DataFrame:
    """All measurements of a sweep: one row a (trial, layer, measure, parameter).

    Columns: those of `Measurement`; trial_id and every parameter of the trial (model, optimizer, learning_rate, …,
    numbers as numbers); every generalization quantity (gap_loss, test_accuracy, …) of the trained network. Artifacts
    are read in parallel, straight from the disk where they lie on one.

    Args:
        tracking_uri: address of the MLflow server or database.
        experiment: name of the sweep.

    Raises:
        AnalysisError: no such experiment, or no trial of it has been measured yet.
    """
    table = load_sweep(tracking_uri, experiment, spectra=False).table
    if table.empty:
        raise AnalysisError(
            f"no trial of sweep {experiment!r} has been measured yet; `renyi status` says how far it is"
        )
    return table


def load_sweep(tracking_uri: str, experiment: str, spectra: bool = True) -> SweepResults:
    """The tidy table of a sweep with its states, failures and, if wanted, the spectra of every trial.

    Raises:
        AnalysisError: no such experiment.
    """
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri)
    trials = f"tags.`{schema.TAG_KIND}` = '{schema.KIND_TRIAL}'"
    runs = search_runs(client, experiment_id(tracking_uri, experiment), trials)
    states = pd.Series([run.data.tags.get(schema.TAG_STATE, "unknown") for run in runs], dtype=object)
    measured = [run for run, state in zip(runs, states, strict=True) if state == "measured"]
    with ThreadPoolExecutor(READERS) as readers:
        records = list(readers.map(lambda run: _record(client, run), measured))
        found = readers.map(lambda run: _spectra(client, run), measured) if spectra else iter(())
        by_trial = dict(zip((record.trial_id for record in records), found, strict=False))
    failures = {
        run.data.tags[schema.TAG_TRIAL_ID]: run.data.tags[schema.TAG_REASON]
        for run, state in zip(runs, states, strict=True)
        if state == "failed" and schema.TAG_REASON in run.data.tags
    }
    counts = {str(state): int(count) for state, count in states.value_counts().items()}
    return SweepResults(experiment, tidy_table(records), counts, failures, by_trial, tracking_uri)


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


def experiment_id(tracking_uri: str, experiment: str) -> str:
    """MLflow's own key of a sweep's experiment.

    Raises:
        AnalysisError: there is none of that name.
    """
    from mlflow import MlflowClient

    found = MlflowClient(tracking_uri).get_experiment_by_name(experiment)
    if found is None:
        raise AnalysisError(f"no sweep named {experiment!r} at {tracking_uri}; run it first with `renyi run`")
    return str(found.experiment_id)


def search_runs(client: "MlflowClient", experiment: str, wanted: str) -> list["Run"]:
    """All runs of an experiment (MLflow's key of it) that a filter wants, page by page; 0.7 ms a run of 25 metrics."""
    runs: list[Run] = []
    token: str | None = None
    with no_garbage_collection():
        while True:
            page = client.search_runs([experiment], wanted, max_results=PAGE, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs


def _record(client: "MlflowClient", run: "Run") -> TrialRecord:
    prefix = f"{schema.GENERALIZATION_PREFIX}/"
    return TrialRecord(
        run.data.tags[schema.TAG_TRIAL_ID],
        {name: _typed(value) for name, value in run.data.params.items()},
        {name.removeprefix(prefix): value for name, value in run.data.metrics.items() if name.startswith(prefix)},
        pq.read_table(pa.BufferReader(_artifact(client, run, schema.MEASUREMENTS_FILE))),
    )


def _spectra(client: "MlflowClient", run: "Run") -> Spectra:
    return spectra_from_parquet(_artifact(client, run, schema.SPECTRA_FILE))


def _artifact(client: "MlflowClient", run: "Run", name: str) -> bytes:
    """The bytes of a run's artifact; MLflow's own way of fetching it takes ten times as long on a disk."""
    address = urlparse(run.info.artifact_uri)
    if address.scheme in ("", "file"):
        return (Path(unquote(address.path)) / name).read_bytes()
    with tempfile.TemporaryDirectory(prefix="renyi-artifact-") as scratch:
        return Path(client.download_artifacts(run.info.run_id, name, scratch)).read_bytes()


def _typed(text: str) -> Any:
    """A logged parameter as what it was before MLflow made it a string."""
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
