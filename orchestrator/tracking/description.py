"""What describes a run in MLflow: tags to filter by, the data set, a description for people to read."""

import getpass
import os
import shlex
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version

from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)

from analysis import schema
from analysis.results.remarks import THEN
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.config.tags import MAX_TEXT
from trainables.trial.code import Code, commit
from trainables.trial.folder import LAST_CHECKPOINT, Trained
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import Folder

TAG_CHECKPOINT = "renyi.checkpoint"
AXIS_PREFIX = "axis."


def trial_tags(spec: TrialSpec, config: SweepConfig) -> dict[str, str]:
    """Optimizer, network, data set, and the value on every axis that the grid varies: `tags.optimizer = 'adam'`.

    An axis on which the trial has no value (null) has the tag `None`.
    """
    parameters = spec.parameters()
    values = {**spec.training.model_dump(), **spec.optimizer.model_dump(), "model": spec.model}
    tags = {name: str(parameters[name]) for name in ("optimizer", "model", "dataset")}
    for sub_grid in config.grid:
        for axis in sub_grid.axes:
            if sub_grid.optimizer == spec.optimizer.name and len(axis.values) > 1:
                tags |= {f"{AXIS_PREFIX}{name}": str(values[name]) for name in axis.names}
    if len(config.seeds) > 1:
        tags[f"{AXIS_PREFIX}seed"] = str(spec.seed)
    return tags


def origin_tags(config: SweepConfig) -> dict[str, str]:
    """Which sweep a run belongs to, which command made it, who, and with which version of the code."""
    return {
        schema.TAG_SWEEP: config.name,
        MLFLOW_SOURCE_NAME: f"renyi run {config.typed}",
        MLFLOW_SOURCE_TYPE: "JOB",
        MLFLOW_USER: _user(),
        **code_tags(),
        **config.tags,
    }


def trained_by_tags(versions: Sequence[Code]) -> dict[str, str]:
    """The code that trained a trial; of a trial that was continued with other code, each version in order."""
    found = {
        schema.TAG_VERSION: [code.version for code in versions],
        schema.TAG_PACKAGE: [code.package for code in versions],
        schema.TAG_CODE: [sources.digest for code in versions for sources in code.own.values()],
        schema.TAG_DATA: [code.data for code in versions if code.data is not None],
    }
    return {tag: THEN.join(dict.fromkeys(values)) for tag, values in found.items() if values}


def parent_note(config: SweepConfig, verdict: str = "") -> str:
    """The description of the parent run: the file's notes, then the verdict as far as MLflow has room for it."""
    text = "\n\n".join(part for part in (config.notes, verdict) if part)
    if len(text) <= MAX_TEXT:
        return text
    rest = "\n\n… and more in the artifact `report.html`"
    return text[: MAX_TEXT - len(rest)] + rest


@cache
def code_tags() -> dict[str, str]:
    """The version of this package; where it runs from a clone, its commit too."""
    tags = {schema.TAG_VERSION: version("renyi-sharpness")}
    found = commit()
    return tags if found is None else tags | {MLFLOW_GIT_COMMIT: found}


def _user() -> str:
    """Who runs this: a name, or the number where no name belongs to it, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def trial_note(spec: TrialSpec, trained: Trained, folder: Folder) -> str:
    """A trained trial in a few lines of Markdown: its results, and the command that measures it again."""
    result = trained.generalization
    checkpoint = (folder / LAST_CHECKPOINT).uri
    return "\n".join(
        [
            f"**{spec.label}**: {len(trained.history)} epochs in {trained.seconds:.0f} s.",
            "",
            "| | training | test | gap |",
            "| --- | --- | --- | --- |",
            f"| loss | {result.train_loss:.4f} | {result.test_loss:.4f} | {result.gap_loss:.4f} |",
            f"| accuracy | {result.train_accuracy:.4f} | {result.test_accuracy:.4f} | {result.gap_error:.4f} |",
            "",
            f"Measures at every order: artifact `{schema.READABLE_MEASUREMENTS_FILE}` (for programs: "
            f"`{schema.MEASUREMENTS_FILE}`); spectra: `{schema.SPECTRUM_FILE}` (`{schema.SPECTRA_FILE}`).",
            "",
            f"Measure it again: `renyi measure {shlex.quote(checkpoint)}`",
        ]
    )
