"""From MLflow to one tidy table: the only place where the analysis reads tracked runs."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis import schema
from analysis.errors import AnalysisError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE = 1000
READERS = 8


def load_results(tracking_uri: str, experiment: str) -> pd.DataFrame:
    """All measurements of a sweep: one row a (trial, layer, measure, parameter).

    Columns: those of `Measurement`; trial_id and every parameter of the trial (model, optimizer, learning_rate, …,
    numbers as numbers); every generalization quantity (gap_loss, test_accuracy, …) of the trained network.

    Args:
        tracking_uri: address of the MLflow server or database.
        experiment: name of the sweep.

    Raises:
        AnalysisError: no such experiment, or no trial of it has been measured yet.
    """
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri)
    measured = f"tags.`{schema.TAG_KIND}` = '{schema.KIND_TRIAL}' and tags.`{schema.TAG_STATE}` = 'measured'"
    runs = search_runs(client, experiment_id(tracking_uri, experiment), measured)
    if not runs:
        raise AnalysisError(
            f"no trial of sweep {experiment!r} has been measured yet; `renyi status` says how far it is"
        )
    with ThreadPoolExecutor(READERS) as readers:
        tables = list(readers.map(lambda run: _trial_table(client, run), runs))
    return pd.concat(tables, ignore_index=True)


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
    """All runs of an experiment (MLflow's key of it) that a filter wants, page by page."""
    runs: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment], wanted, max_results=PAGE, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _trial_table(client: "MlflowClient", run: "Run") -> pd.DataFrame:
    path = client.download_artifacts(run.info.run_id, schema.MEASUREMENTS_FILE)
    table = pd.read_parquet(Path(path))
    context: dict[str, Any] = {schema.TRIAL_ID: run.data.tags[schema.TAG_TRIAL_ID]}
    context |= {name: _number(value) for name, value in run.data.params.items()}
    prefix = f"{schema.GENERALIZATION_PREFIX}/"
    context |= {name.removeprefix(prefix): value for name, value in run.data.metrics.items() if name.startswith(prefix)}
    return table.assign(**context)


def _number(text: str) -> object:
    """A logged parameter as what it was before MLflow made it a string."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
