"""How a sweep's experiment opens in the MLflow UI: its trials, those with the largest gap first, with the columns that
matter; and what is said at its head.

The UI keeps a view that people share as a tag of the experiment, under a key that the address of the page names.
"""

import hashlib
import json

from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE as MLFLOW_NOTE

from analysis import schema
from analysis.measures import headline_of
from orchestrator.config.sweep_config import SweepConfig

TAG_OUR_NOTE = "renyi.note"  # the digest of the description that was written here: one that people wrote is kept
GAP = f"metrics.`{schema.GENERALIZATION_PREFIX}/{schema.GAP_LOSS}`"
OUTCOMES = (schema.GAP_LOSS, schema.TRAIN_LOSS, schema.TEST_ACCURACY)
MOST_MEASURES = 4  # columns
WIDE = 200  # pixels of a column, for its whole name


def introduce(client: MlflowClient, experiment_id: str, config: SweepConfig) -> None:
    """Give an experiment its view and its description, where it has others. Costs nothing where it has them."""
    tags = client.get_experiment(experiment_id).tags
    view = json.dumps(view_of(config))
    if tags.get(schema.TAG_VIEW) != view:
        client.set_experiment_tag(experiment_id, schema.TAG_VIEW, view)
    text = introduction(config)
    known = {None, tags.get(TAG_OUR_NOTE)}  # nothing, or what was written here
    there = tags.get(MLFLOW_NOTE)
    if there != text and (None if there is None else digest(there)) in known:
        client.set_experiment_tag(experiment_id, TAG_OUR_NOTE, digest(text))
        client.set_experiment_tag(experiment_id, MLFLOW_NOTE, text)


def view_of(config: SweepConfig) -> dict[str, object]:
    """The state of the UI's page of runs: what is listed, in which order, and in which columns."""
    return {
        "searchFilter": f"tags.`{schema.TAG_KIND}` = '{schema.KIND_TRIAL}'",
        "orderByKey": GAP,
        "orderByAsc": False,
        "selectedColumns": columns_of(config),
        "columnWidths": {name: WIDE for name in columns_of(config) if schema.GENERALIZATION_PREFIX in name},
    }


def columns_of(config: SweepConfig) -> list[str]:
    """How a trial ended, the strongest candidates among the measures of all layers, and what the grid varies."""
    measures = [
        schema.metric_name(schema.Measurement(schema.ALL_LAYERS, measure, parameter, None, None))
        for measure in config.sharpness.measures
        for parameter in headline_of(measure) or (None,)
    ]
    varied = {
        name: None
        for sub_grid in config.grid
        for axis in sub_grid.axes
        for name, values in zip(axis.names, zip(*axis.values, strict=True), strict=True)
        if len(set(values)) > 1
    }
    several = {"optimizer": None} if len({sub_grid.optimizer for sub_grid in config.grid}) > 1 else {}
    seeds = {"seed": None} if len(config.seeds) > 1 else {}
    return [
        *(f"metrics.`{schema.GENERALIZATION_PREFIX}/{name}`" for name in OUTCOMES),
        *(f"metrics.`{name}`" for name in measures[:MOST_MEASURES]),
        *(f"params.`{name}`" for name in {**several, **varied, **seeds}),
        f"tags.`{schema.TAG_STATE}`",
    ]


def introduction(config: SweepConfig) -> str:
    """What an experiment is, in Markdown."""
    data = config.data.name or config.data.dataset
    notes = f"\n\n{config.notes}" if config.notes else ""
    return (
        f"Sweep **{config.name}**: {config.model} on {data}. A run for each trial, with its losses, its measures of "
        "sharpness and its checkpoint as a model; and a parent run with the settings, Kendall's τ of each measure "
        f"(`{schema.TAU_PREFIX}/…`) and the report (`report.html`).{notes}\n\n"
        f"Go on with it, or repeat its report: `renyi run {config.typed}`, `renyi report {config.typed}`."
    )


def digest(text: str) -> str:
    """The beginning of a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
