"""The data set as MLflow records it."""

import json

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.tracking.datasets import dataset_input
from trainables.catalogue import DATA_SETS
from trainables.data.digits import SHA256
from trainables.trial.specs import DataSpec


def test_a_published_set_has_its_source_and_the_digest_of_what_was_published(config: SweepConfig) -> None:
    dataset = dataset_input(config).dataset
    assert dataset.name == "digits"
    assert SHA256.startswith(dataset.digest)
    assert len(dataset.digest) == 32
    assert json.loads(dataset.source) == {"url": DATA_SETS["digits"].source}
    assert json.loads(dataset.profile or "") == {"training images": 1000, "test images": 797}


def test_a_set_of_the_users_has_its_fingerprint_and_files_without_secrets(config: SweepConfig) -> None:
    data = DataSpec(
        dataset="parquet",
        name="beans",
        fingerprint="0123456789abcdef",
        train=("s3://key:secret@bucket/train.parquet",),
        test=("/data/test.parquet",),
        validation=10,
    )
    dataset = dataset_input(config.model_copy(update={"data": data})).dataset
    assert (dataset.name, dataset.digest) == ("beans", "0123456789abcdef")
    assert "secret" not in f"{dataset.source} {dataset.profile}"
    assert json.loads(dataset.profile or "")["test files"] == ["/data/test.parquet"]
