"""The results of a sweep from MLflow, as one tidy table; no other file of the analysis reads MLflow."""

import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlparse

import pandas as pd

from analysis import schema
from analysis.address import BUCKETS, names_a_host, same_server, without_secrets
from analysis.errors import AnalysisError
from analysis.garbage import no_garbage_collection
from analysis.one_line import first_line
from analysis.results.parquet import read_table, spectra_from_parquet
from analysis.results.remarks import READING_THREADS, code_remarks, others_remark, trained_by
from analysis.results.sweep import SweepResults, TrialRecord, plain_columns, tidy_table
from analysis.spectrum.quadrature import Quadratures

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

T = TypeVar("T")
PAGE = 1000
PENDING, TRAINED, MEASURED, FAILED = "pending", "trained", "measured", "failed"  # states, as drivers log them

_TEXTS = frozenset({"dataset", "model", "optimizer"})  # parameters that are text, whatever they look like
_WORDS: dict[str, object] = {"None": None, "True": True, "False": False}


def load_results(
    tracking_uri: str, experiment: str, trial_ids: Collection[str] | None = None, trust: bool = False
) -> pd.DataFrame:
    """All measurements of a sweep, one row for each (trial, layer, measure, parameter).

    Columns: those of `Measurement`; trial_id and every parameter of the trial (model, optimizer, learning_rate, …,
    numbers as numbers); every generalization quantity (gap_loss, test_accuracy, …) of the trained network. Artifacts
    are read in parallel, and directly from the disk if they are on one.

    Args:
        tracking_uri: address of the MLflow server or database.
        experiment: name of the sweep.
        trial_ids: the trials to read; left out, every trial that was ever recorded under the name, also those that the
            sweep's file no longer has.
        trust: ask whatever hosts the runs name for their artifacts, with this user's credentials.

    Raises:
        AnalysisError: no such experiment, no trial of it has been measured yet, or its artifacts are at a host that
            only the runs name.
    """
    table = plain_columns(load_sweep(tracking_uri, experiment, spectra=False, trial_ids=trial_ids, trust=trust).table)
    if table.empty:
        raise AnalysisError(
            f"no trial of sweep {experiment!r} has been measured yet; `renyi status` shows its progress"
        )
    return table


def load_sweep(
    tracking_uri: str,
    experiment: str,
    spectra: bool = True,
    trial_ids: Collection[str] | None = None,
    measurement_id: str | None = None,
    trust: bool = False,
) -> SweepResults:
    """The tidy table of a sweep, with the states and failures of its trials and, if wanted, their spectra.

    Args:
        tracking_uri: address of the MLflow server or database.
        experiment: name of the sweep.
        spectra: whether spectra are read, too.
        trial_ids: the trials of the sweep; those that have no run are pending. Left out, all that were ever recorded.
        measurement_id: of the settings to read; a trial that was measured with others counts as trained.
        trust: ask whatever hosts the runs name for their artifacts, with this user's credentials.

    Raises:
        AnalysisError: no such experiment, or artifacts at a host that only the runs name.
    """
    client = _open(tracking_uri, experiment)
    trials = f"tags.`{schema.TAG_KIND}` = '{schema.KIND_TRIAL}'"
    recorded = _one_a_trial(search_runs(client, experiment_id(tracking_uri, experiment), trials))
    chosen = recorded.keys() if trial_ids is None else dict.fromkeys(trial_ids)
    runs = {trial_id: recorded[trial_id] for trial_id in chosen if trial_id in recorded}
    states = {trial_id: _state(run, measurement_id) for trial_id, run in runs.items()}
    lost = {trial_id: run for trial_id, run in runs.items() if states[trial_id] == MEASURED and not _has_tables(run)}
    states |= dict.fromkeys(lost, TRAINED)
    measured = [run for trial_id, run in runs.items() if states[trial_id] == MEASURED]
    if not trust:
        _refuse_strangers(measured, tracking_uri)
    with ThreadPoolExecutor(READING_THREADS) as readers:
        records = list(readers.map(lambda run: _record(client, run), measured))
        found = readers.map(lambda run: _spectra(client, run), measured) if spectra else iter(())
        by_trial = dict(zip((record.trial_id for record in records), found, strict=False))
    failures = {
        trial_id: run.data.tags[schema.TAG_REASON]
        for trial_id, run in runs.items()
        if states[trial_id] == FAILED and schema.TAG_REASON in run.data.tags
    }
    counts = Counter(states.get(trial_id, PENDING) for trial_id in chosen)
    remarks = [*others_remark(len(recorded.keys() - set(chosen))), *_lost_remark(list(lost.values()))]
    remarks += code_remarks(record.trained_by for record in records)
    pages = {
        trial_id: f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}" for trial_id, run in runs.items()
    }
    return SweepResults(
        experiment,
        tidy_table(records),
        dict(counts),
        failures,
        by_trial,
        without_secrets(tracking_uri),
        tuple(remarks),
        runs=pages,
    )


def _one_a_trial(runs: Iterable["Run"]) -> dict[str, "Run"]:
    """By trial the run that is read: of several, the first that was measured, or the first of all."""
    found: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: int(run.info.start_time)):
        tags = run.data.tags
        first = found.setdefault(tags[schema.TAG_TRIAL_ID], run)
        if first.data.tags.get(schema.TAG_STATE) != MEASURED == tags.get(schema.TAG_STATE):
            found[tags[schema.TAG_TRIAL_ID]] = run
    return found


def _state(run: "Run", measurement_id: str | None) -> str:
    """The state of a trial by its run's tags; `measured` means: with these settings."""
    state: str = run.data.tags.get(schema.TAG_STATE, "unknown")
    settings = run.data.tags.get(schema.TAG_MEASUREMENT_ID, measurement_id)
    return TRAINED if state == MEASURED and measurement_id not in (None, settings) else state


def experiment_id(tracking_uri: str, experiment: str) -> str:
    """MLflow's own key of a sweep's experiment.

    Raises:
        AnalysisError: no experiment has that name.
    """
    return str(_experiment(tracking_uri, experiment).experiment_id)


def runs_page(tracking_uri: str, experiment: str) -> str:
    """The part of the UI's address that opens a sweep's runs, in the sweep's own view where it has one.

    Raises:
        AnalysisError: no experiment has that name.
    """
    found = _experiment(tracking_uri, experiment)
    # Without the first part MLflow opens in its view for generative AI, whatever the experiment's kind.
    view = f"&viewStateShareKey={schema.VIEW}" if schema.TAG_VIEW in found.tags else ""
    return f"#/experiments/{found.experiment_id}/runs?workflowType=machine_learning{view}"


def _experiment(tracking_uri: str, experiment: str) -> "Experiment":
    found = _open(tracking_uri, experiment).get_experiment_by_name(experiment)
    if found is None:
        raise _no_sweep(experiment, tracking_uri)
    return found


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
    return AnalysisError(
        f"no sweep named {experiment!r} at {without_secrets(tracking_uri)}{why}; run it first with `renyi run`"
    )


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
        {name: value if name in _TEXTS else _typed(value) for name, value in run.data.params.items()},
        {name.removeprefix(prefix): value for name, value in run.data.metrics.items() if name.startswith(prefix)},
        _sound(run, schema.MEASUREMENTS_FILE, read_table, _artifact(client, run, schema.MEASUREMENTS_FILE)),
        _trained_by(run),
    )


def _trained_by(run: "Run") -> dict[str, str]:
    tags = run.data.tags
    version, package, code, data = (
        tags.get(tag, "") for tag in (schema.TAG_VERSION, schema.TAG_PACKAGE, schema.TAG_CODE, schema.TAG_DATA)
    )
    return trained_by(version, package, run.data.params.get("model", ""), code, data)


def _spectra(client: "MlflowClient", run: "Run") -> Quadratures:
    return _sound(run, schema.SPECTRA_FILE, spectra_from_parquet, _artifact(client, run, schema.SPECTRA_FILE))


def _sound(run: "Run", name: str, parse: Callable[[bytes], T], data: bytes) -> T:
    """What an artifact says.

    Raises:
        AnalysisError: it is not what was logged, as far as the checksums of its pages show.
    """
    try:
        return parse(data)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        place = without_secrets(str(run.info.artifact_uri))
        raise AnalysisError(
            f"{place}/{name} is damaged ({first_line(error)}); `renyi report --source store` reads what is in the "
            "storage"
        ) from error


def _artifact(client: "MlflowClient", run: "Run", name: str) -> bytes:
    """The bytes of a run's artifact. From a disk they are read directly: MLflow's download takes ten times as long."""
    folder = _folder(run)
    if folder is not None:
        return (folder / name).read_bytes()
    with tempfile.TemporaryDirectory(prefix="renyi-artifact-") as scratch:
        return Path(client.download_artifacts(run.info.run_id, name, scratch)).read_bytes()


def _refuse_strangers(runs: Iterable["Run"], tracking_uri: str) -> None:
    """Refuse runs whose artifacts are neither on a disk, nor in a bucket, nor at the tracking server: MLflow would ask
    the host that they name, with the user's credentials.

    Raises:
        AnalysisError: the message has the address.
    """
    for place in dict.fromkeys(run.info.artifact_uri for run in runs):
        if not _is_known(place, tracking_uri):
            raise AnalysisError(
                f"the runs at {without_secrets(tracking_uri)} name {without_secrets(place)} for their artifacts, and "
                "nobody else does: MLflow would send your credentials there. If you trust them: `renyi report "
                "--trust`, or load_results(…, trust=True)"
            )


def _is_known(place: str, tracking_uri: str) -> bool:
    """Whether an address of artifacts is on a disk, in a bucket, or at the tracking server itself."""
    address = urlparse(place)
    if address.scheme == "mlflow-artifacts":
        return not address.netloc or same_server(place, tracking_uri)
    return address.scheme in ("", "file") or (address.scheme in BUCKETS and not names_a_host(place))


def _folder(run: "Run") -> Path | None:
    """Where a run's artifacts are on a disk; None if they are not on one."""
    address = urlparse(run.info.artifact_uri)
    return Path(unquote(address.path)) if address.scheme in ("", "file") else None


def _has_tables(run: "Run") -> bool:
    """Whether the tables of a measured run can be read, as far as that is known without asking a server."""
    folder = _folder(run)
    return folder is None or all((folder / name).exists() for name in (schema.MEASUREMENTS_FILE, schema.SPECTRA_FILE))


def _lost_remark(lost: Sequence["Run"]) -> list[str]:
    """The remark that the tables of measured trials are gone; none if all are there."""
    if not lost:
        return []
    return [
        f"{len(lost)} measured left out, whose tables are not at {without_secrets(lost[0].info.artifact_uri)}"
        + (" and so on" if len(lost) > 1 else "")
        + "; `renyi report --source store` reads those in the storage"
    ]


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
