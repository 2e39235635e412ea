"""The results of a sweep from MLflow, as one tidy table; no other file of the analysis reads MLflow."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import schema
from analysis.errors import AnalysisError
from analysis.garbage import no_garbage_collection
from analysis.results.parquet import spectra_from_parquet
from analysis.results.sweep import READING_THREADS, SweepResults, TrialRecord, tidy_table
from analysis.spectrum.quadrature import Quadratures

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000

_WORDS: dict[str, object] = {"None": None, "True": True, "False": False}


def load_results(tracking_uri: str, experiment: str) -> pd.DataFrame:
    """All measurements of a sweep, one row for each (trial, layer, measure, parameter).

    Columns: those of `Measurement`; trial_id and every parameter of the trial (model, optimizer, learning_rate, …,
    numbers as numbers); every generalization quantity (gap_loss, test_accuracy, …) of the trained network. Artifacts
    are read in parallel, and directly from the disk if they are on one.

    Args:
        tracking_uri: address of the MLflow server or database.
        experiment: name of the sweep.

    Raises:
        AnalysisError: no such experiment, or no trial of it has been measured yet.
    """
    table = load_sweep(tracking_uri, experiment, spectra=False).table
    if table.empty:
        raise AnalysisError(
            f"no trial of sweep {experiment!r} has been measured yet; `renyi status` shows its progress"
        )
    return table


def load_sweep(tracking_uri: str, experiment: str, spectra: bool = True) -> SweepResults:
    """The tidy table of a sweep, with the states and failures of its trials and, if wanted, their spectra.

    Raises:
        AnalysisError: no such experiment.
    """
    client = _open(tracking_uri, experiment)
    trials = f"tags.`{schema.TAG_KIND}` = '{schema.KIND_TRIAL}'"
    runs = search_runs(client, experiment_id(tracking_uri, experiment), trials)
    states = pd.Series([run.data.tags.get(schema.TAG_STATE, "unknown") for run in runs], dtype=object)
    measured = [run for run, state in zip(runs, states, strict=True) if state == "measured"]
    with ThreadPoolExecutor(READING_THREADS) as readers:
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


def experiment_id(tracking_uri: str, experiment: str) -> str:
    """MLflow's own key of a sweep's experiment.

    Raises:
        AnalysisError: no experiment has that name.
    """
    found = _open(tracking_uri, experiment).get_experiment_by_name(experiment)
    if found is None:
        raise _no_sweep(experiment, tracking_uri)
    return str(found.experiment_id)


def _open(tracking_uri: str, experiment: str) -> "MlflowClient":
    """A client to read with: MLflow itself makes a SQLite file, or a folder, that is not there."""
    from mlflow import MlflowClient
    from sqlalchemy.engine import make_url

    if tracking_uri.startswith("sqlite"):
        path = Path(make_url(tracking_uri).database or "")
        if not (path.is_file() and path.stat().st_size):
            raise _no_sweep(experiment, tracking_uri, ": there is no database")
    elif tracking_uri.startswith(("file:", "/", ".")):
        path = Path(unquote(urlparse(tracking_uri).path) if tracking_uri.startswith("file:") else tracking_uri)
        if not path.is_dir():
            raise _no_sweep(experiment, tracking_uri, ": there is no such folder")
    return MlflowClient(tracking_uri)


def _no_sweep(experiment: str, tracking_uri: str, why: str = "") -> AnalysisError:
    return AnalysisError(f"no sweep named {experiment!r} at {tracking_uri}{why}; run it first with `renyi run`")


def search_runs(client: "MlflowClient", experiment: str, wanted: str) -> list["Run"]:
    """All runs of an experiment (by MLflow's key) that match a filter, page by page; 0.7 ms for a run of 25 metrics."""
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


def _spectra(client: "MlflowClient", run: "Run") -> Quadratures:
    return spectra_from_parquet(_artifact(client, run, schema.SPECTRA_FILE))


def _artifact(client: "MlflowClient", run: "Run", name: str) -> bytes:
    """The bytes of a run's artifact. From a disk they are read directly: MLflow's download takes ten times as long."""
    address = urlparse(run.info.artifact_uri)
    if address.scheme in ("", "file"):
        return (Path(unquote(address.path)) / name).read_bytes()
    with tempfile.TemporaryDirectory(prefix="renyi-artifact-") as scratch:
        return Path(client.download_artifacts(run.info.run_id, name, scratch)).read_bytes()


def _typed(text: str) -> Any:
    """A logged parameter with its type from before MLflow made it a string."""
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
