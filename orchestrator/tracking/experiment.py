"""A sweep's experiment in MLflow and the parent run in it: opened, read, and given the report."""

import shlex
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from analysis import schema
from analysis.errors import AnalysisError
from analysis.report.statements import MOST_PAIRED
from analysis.results.mlflow import experiment_id, load_sweep, runs_page, search_runs
from analysis.results.sweep import SweepResults
from orchestrator.config.expand import expand
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.tracking.client import answering, check_answer, log_files, open_client
from orchestrator.tracking.description import parent_note
from orchestrator.tracking.moved import TAG_STORAGE, artifact_location, claim
from orchestrator.tracking.parent import log_tau, open_parent
from orchestrator.tracking.protocol import LoggedReport
from orchestrator.tracking.view import introduce


@dataclass(frozen=True)
class Experiment:
    """The experiment of a sweep, opened to be written."""

    client: MlflowClient
    experiment_id: str
    parent_run_id: str
    trial_runs: list[Run]  # that were there when it was opened

    def search(self, wanted: str) -> list[Run]:
        """The runs that match a filter."""
        return search_runs(self.client, self.experiment_id, wanted)


def open_experiment(config: SweepConfig, client: MlflowClient | None = None) -> Experiment:
    """Open the sweep's experiment and its parent run; both are created the first time.

    Args:
        config: the sweep.
        client: of its tracking address, if there is one already.

    Raises:
        UsageError: the tracking address can't be used, or the sweep has another storage there.
    """
    with answering(config):
        client = client or open_client(config)
        key = _find_or_create(client, config)
        introduce(client, key, config)
        runs = search_runs(client, key, f"tags.`{schema.TAG_SWEEP}` = '{config.name}'")
        parent = open_parent(client, config, key, [run for run in runs if _kind(run) == schema.KIND_SWEEP])
        return Experiment(client, key, parent, [run for run in runs if _kind(run) == schema.KIND_TRIAL])


def recorded_sweep(config: SweepConfig, trust: bool = False) -> SweepResults:
    """The results of the trials in a sweep's file, as MLflow holds them.

    Args:
        config: the sweep.
        trust: ask whatever hosts the runs name for their artifacts.

    Raises:
        UsageError: the tracking address can't be used, or the sweep has not been run yet.
        AnalysisError: artifacts at a host that only the runs name.
    """
    find_experiment(config)
    with answering(config):
        open_client(config)
        trial_ids = [spec.trial_id for spec in expand(config)]
        return load_sweep(
            config.tracking_uri,
            config.name,
            spectra=len(trial_ids) <= MOST_PAIRED,
            trial_ids=trial_ids,
            measurement_id=config.sharpness.measurement_id,
            trust=trust,
        )


def find_experiment(config: SweepConfig) -> str:
    """MLflow's key of the sweep's experiment. Creates nothing.

    Raises:
        UsageError: the tracking address can't be used, or the sweep has not been run yet.
    """
    with answering(config):
        check_answer(config)
        try:
            return experiment_id(config.tracking_uri, config.name)
        except AnalysisError as error:
            raise UsageError(
                f"{config.name}: has no results at {config.shown_tracking} yet; run it first: renyi run {config.typed}"
            ) from error


def show_trials(config: SweepConfig) -> str:
    """The part of the UI's address that opens the sweep's trials, and the view there for sweeps of earlier versions.

    Raises:
        UsageError: the tracking address can't be used, or the sweep has not been run yet.
    """
    key = find_experiment(config)
    with answering(config):
        introduce(MlflowClient(config.tracking_uri), key, config)
    return runs_page(config.tracking_uri, config.name)


def log_report(config: SweepConfig, report: LoggedReport, folder: str | None = None) -> None:
    """Put a report's files on the sweep's parent run; without a folder, its verdict as the description and its τ too.

    Raises:
        UsageError: the tracking address can't be used.
    """
    with answering(config):
        write_report(config, report, folder)


def write_report(config: SweepConfig, report: LoggedReport, folder: str | None = None) -> None:
    """As `log_report`, but with the errors of MLflow and its database as they are: they tell what may pass."""
    client = open_client(config)
    key = experiment_id(config.tracking_uri, config.name)
    for run in search_runs(client, key, f"tags.`{schema.TAG_KIND}` = '{schema.KIND_SWEEP}'"):
        log_files(client, run.info.run_id, report.files, folder)
        if folder is None:
            client.set_tag(run.info.run_id, MLFLOW_RUN_NOTE, parent_note(config, report.note))
            if report.tau is not None:
                log_tau(client, run, report.tau)


def _find_or_create(client: MlflowClient, config: SweepConfig) -> str:
    found = client.get_experiment_by_name(config.name)
    if found is not None and found.lifecycle_stage != "active":
        raise UsageError(
            f"tracking: experiment {config.name!r} at {config.shown_tracking} was deleted in MLflow; "
            f"`MLFLOW_TRACKING_URI={shlex.quote(config.shown_tracking)} mlflow experiments restore -x "
            f"{found.experiment_id}` brings it back, or give the sweep another name"
        )
    if found is not None:
        claim(config, client, found)
        return str(found.experiment_id)
    # Without the first tag the UI opens the experiment in its view for generative AI.
    tags = {"mlflow.experimentKind": "custom_model_development", TAG_STORAGE: config.storage}
    return str(client.create_experiment(config.name, artifact_location=artifact_location(config), tags=tags))


def _kind(run: Run) -> str | None:
    kind: str | None = run.data.tags.get(schema.TAG_KIND)
    return kind
