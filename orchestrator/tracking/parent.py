"""The parent run of a sweep: found or made, given the file and its settings, and the report with its τ.

A parameter of a run in MLflow never changes. So a parent run is of one set of settings: where the file has others than
those it shows, it is kept as it is, under a name that says so, and a new one takes its place.
"""

import math
import time
from collections.abc import Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from analysis import schema
from orchestrator.config.settings import parameters_of
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.tracking.client import log_files
from orchestrator.tracking.datasets import dataset_input
from orchestrator.tracking.description import origin_tags, parent_note
from orchestrator.tracking.view import digest

TAG_SWEEP_FILE = "renyi.sweep_file"  # the digest of the file that was logged


def open_parent(client: MlflowClient, config: SweepConfig, key: str, existing: Sequence[Run]) -> str:
    """The id of the parent run in the experiment `key`, of those that exist or a new one."""
    wanted = parameters_of(config)
    suited = [run for run in existing if agrees(run, wanted)]
    for run in existing:
        if run not in suited:
            _retire(client, config, run)
    if suited:
        run = keep_one(client, suited)
        run_id = str(run.info.run_id)
        client.update_run(run_id, status="RUNNING")
        changed = changed_tags(run, config)
        if not run.data.tags.get(MLFLOW_RUN_NOTE, "").startswith(config.notes):  # the verdict comes back at the end
            changed.append(RunTag(MLFLOW_RUN_NOTE, parent_note(config)))
        if changed:
            client.log_batch(run_id, tags=changed)
        return run_id
    tags = {
        **origin_tags(config),
        MLFLOW_RUN_NAME: f"sweep {config.name}",
        schema.TAG_KIND: schema.KIND_SWEEP,
        **({MLFLOW_RUN_NOTE: parent_note(config)} if config.notes else {}),
    }
    return str(client.create_run(key, tags=tags).info.run_id)


def agrees(run: Run, wanted: Mapping[str, str]) -> bool:
    """Whether no parameter of a run says otherwise. A run that has none yet, as of earlier versions, agrees."""
    return all(wanted.get(name) == value for name, value in run.data.params.items())


def _retire(client: MlflowClient, config: SweepConfig, run: Run) -> None:
    """Keep a run of other settings, with its report, as what it is."""
    tags = {schema.TAG_KIND: schema.KIND_EARLIER, MLFLOW_RUN_NAME: f"sweep {config.name}, earlier settings"}
    client.log_batch(run.info.run_id, tags=[RunTag(name, text) for name, text in tags.items()])
    if run.info.status == "RUNNING":
        client.set_terminated(run.info.run_id, "KILLED")


def describe_parent(client: MlflowClient, run_id: str, config: SweepConfig) -> None:
    """Log the sweep's file, its settings and its data set where the parent run lacks them. Safe to repeat."""
    run = client.get_run(run_id)
    text = config.shared_text
    known = digest(text)
    if text and run.data.tags.get(TAG_SWEEP_FILE) != known:
        log_files(client, run_id, {schema.SWEEP_FILE: text.encode()})
        client.set_tag(run_id, TAG_SWEEP_FILE, known)
    missing = [Param(name, value) for name, value in parameters_of(config).items() if name not in run.data.params]
    if missing:
        client.log_inputs(run_id, datasets=[dataset_input(config)])
        client.log_batch(run_id, params=missing)


def log_tau(client: MlflowClient, run: Run, tau: Mapping[str, float]) -> None:
    """Log each τ that the parent run does not show; NaN for one that is no longer there. Safe to repeat.

    Args:
        client, run: the parent run, as it is now.
        tau: by the name of the metric.
    """
    shown = {name: value for name, value in run.data.metrics.items() if name.startswith(f"{schema.TAU_PREFIX}/")}
    wanted = {**dict.fromkeys(shown, math.nan), **tau}
    now = int(time.time() * 1000)
    points = [
        Metric(name, value, now, 0)
        for name, value in wanted.items()
        if not (name in shown and (shown[name] == value or (math.isnan(shown[name]) and math.isnan(value))))
    ]
    if points:
        client.log_batch(run.info.run_id, metrics=points)


def changed_tags(run: Run, config: SweepConfig) -> list[RunTag]:
    """The file's tags that a run does not have, or has with another text."""
    return [RunTag(name, text) for name, text in config.tags.items() if run.data.tags.get(name) != text]


def keep_one(client: MlflowClient, runs: Sequence[Run], named: str | None = None) -> Run:
    """Of several runs of the same thing, the one with the id `named`, else the first; the others are deleted.

    Several arise from what this driver can't see: a proxy that repeats a request, a database restored from a backup, a
    run copied by hand. Each would count once more in every correlation.
    """
    first, *others = sorted(runs, key=lambda run: int(run.info.start_time))
    if not others:
        return first
    kept = next((run for run in runs if run.info.run_id == named), first)
    for run in runs:
        if run is not kept:
            client.delete_run(run.info.run_id)
    return kept
