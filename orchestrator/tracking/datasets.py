"""The data set of a sweep as MLflow records one: with its digest, its source, and how many images it has."""

import json

from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.dataset import Dataset as MLflowDataset
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from analysis.address import without_secrets
from orchestrator.config.sweep_config import SweepConfig
from trainables.catalogue import DATA_SETS
from trainables.trial.specs import DataSpec


def dataset_input(config: SweepConfig) -> DatasetInput:
    """The data set: the same name and digest for every trial on the same data.

    The digest is the fingerprint of the files' content, or that of what was published, where one is known; else the
    name. The profile has the numbers of images, and the files where there are several.
    """
    data = config.data
    name = data.name or data.dataset
    digest = data.fingerprint or DATA_SETS[data.dataset].digest or name
    found: MLflowDataset = MetaDataset(_source(data), name=name, digest=digest[:36])  # type: ignore[abstract]
    fields = found.to_dict()
    recorded = Dataset(
        name=fields["name"],
        digest=fields["digest"],
        source_type=fields["source_type"],
        source=fields["source"],
        profile=json.dumps(_profile(data)),
    )
    return DatasetInput(recorded, [InputTag(MLFLOW_DATASET_CONTEXT, "training and test")])


def _source(data: DataSpec) -> DatasetSource:
    """Where the data are from: an address where they were published, or the first of the user's files."""
    published = DATA_SETS[data.dataset].source
    if published:
        return HTTPDatasetSource(published)  # type: ignore[no-untyped-call]
    try:
        found: DatasetSource = resolve_dataset_source(without_secrets(data.train[0]))
        return found
    except (IndexError, MlflowException):  # an address of a kind that MLflow has no name for
        return CodeDatasetSource(tags={"loader": DATA_SETS[data.dataset].loader})


def _profile(data: DataSpec) -> dict[str, object]:
    known = DATA_SETS[data.dataset]
    held_out = data.validation or 0
    counts: dict[str, object] = {
        "training images": known.train_images - held_out if known.train_images else 0,
        "validation images": held_out,
        "test images": known.test_images,
    }
    files = {"training files": data.train, "test files": data.test}
    listed = {what: [without_secrets(each) for each in paths] for what, paths in files.items() if paths}
    return {what: count for what, count in counts.items() if count} | listed
