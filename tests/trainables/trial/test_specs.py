from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.trial.specs import TrialSpec


def spec(**changes: object) -> TrialSpec:
    fields: dict[str, object] = {
        "data": {"dataset": "digits"},
        "model": "digits_cnn",
        "training": {"epochs": 3, "batch_size": 32},
        "optimizer": {"name": "sgd", "learning_rate": 0.1},
    }
    return TrialSpec.model_validate(fields | changes)


def test_identity_is_fixed_for_good() -> None:
    """Stored results are found by this hash: if this test fails, every finished trial of every user is lost."""
    assert spec().trial_id == "3cf8219d8d6e"


def test_a_default_spelt_out_is_the_same_trial() -> None:
    assert spec(seed=0).trial_id == spec().trial_id
    explicit = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.0}
    assert spec(optimizer=explicit).trial_id == spec().trial_id


@given(st.integers(1, 10**6), st.floats(1e-6, 1.0), st.integers(0, 100))
def test_whatever_determines_the_weights_is_part_of_it(batch_size: int, learning_rate: float, seed: int) -> None:
    other = spec(
        training={"epochs": 3, "batch_size": batch_size},
        optimizer={"name": "sgd", "learning_rate": learning_rate},
        seed=seed,
    )
    same = (batch_size, learning_rate, seed) == (32, 0.1, 0)
    assert (other.trial_id == spec().trial_id) == same


def test_label_and_parameters_are_readable() -> None:
    assert spec().label == "sgd lr=0.1 bs=32 wd=0 seed=0 digits_cnn"
    assert spec().parameters()["optimizer"] == "sgd"
    assert spec().parameters()["batch_size"] == 32


def test_warmup_must_end_before_training() -> None:
    with pytest.raises(ValueError, match="warmup_epochs"):
        spec(training={"epochs": 3, "batch_size": 32, "warmup_epochs": 3})


PARQUET = {"dataset": "parquet", "train": "/a/animals/train-*.parquet", "test": ["/a/animals/test.parquet"]}


def test_paths_and_ways_of_computing_are_no_part_of_the_identity() -> None:
    somewhere = spec(data={"dataset": "cifar10", "root": "~/a"})
    assert somewhere.trial_id == spec(data={"dataset": "cifar10", "root": "/b"}).trial_id
    assert somewhere.trial_id == spec(data={"dataset": "cifar10"}).trial_id
    assert somewhere.data.root == str(Path("~/a").expanduser())
    training = {"epochs": 3, "batch_size": 32, "channels_last": True, "compile": True, "deterministic": True}
    assert spec(training=training).trial_id == spec().trial_id
    assert spec(training={"epochs": 3, "batch_size": 32, "precision": "bfloat16"}).trial_id != spec().trial_id


def test_images_held_out_are_part_of_the_identity_only_where_there_are_any() -> None:
    held_out = spec(data={"dataset": "digits", "validation": 200})
    assert held_out.trial_id != spec().trial_id
    assert held_out.parameters()["validation"] == 200
    assert spec(data={"dataset": "digits", "validation": None}).trial_id == spec().trial_id
    with pytest.raises(ValueError, match="tiny_imagenet has validation images of its own"):
        spec(data={"dataset": "tiny_imagenet", "validation": 200})


def test_a_parquet_set_is_known_by_its_fingerprint_alone() -> None:
    known = spec(data=PARQUET | {"fingerprint": "0123456789abcdef"})
    assert known.trial_id != spec(data=PARQUET).trial_id
    assert known.trial_id == spec(data=PARQUET | {"fingerprint": "0123456789abcdef", "name": "plants"}).trial_id
    assert known.trial_id != spec(data=PARQUET | {"fingerprint": "f123456789abcdef"}).trial_id
    by_name = spec(data=PARQUET | {"fingerprint": "0123456789abcdef", "known_by": "name"})
    assert by_name.trial_id == spec(data=PARQUET).trial_id
    for key, value in {"resize": 8, "crop": [4, 4], "channels": 1, "background": "white", "on_damaged": "skip"}.items():
        assert spec(data=known.data.model_dump() | {key: value}).trial_id != known.trial_id
    assert TrialSpec.model_validate_json(known.model_dump_json()).trial_id == known.trial_id


def test_a_parquet_set_of_an_earlier_version_is_known_by_its_name() -> None:
    animals = spec(data=PARQUET)
    assert animals.data.name == "animals"
    assert animals.parameters()["dataset"] == "animals"
    moved = PARQUET | {"train": ["/b/animals/train.parquet"], "test": "s3://bucket/test.parquet"}
    assert spec(data=moved).trial_id == animals.trial_id
    assert spec(data=PARQUET | {"name": "plants"}).trial_id != animals.trial_id
    assert spec(data=PARQUET | {"label": "fine_label"}).trial_id != animals.trial_id
    assert TrialSpec.model_validate_json(animals.model_dump_json()) == animals


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"dataset": "parquet", "train": "a.parquet"}, "parquet needs test: a Parquet file, a glob, or a list"),
        ({"dataset": "cifar10", "image": "img"}, "image is for dataset: parquet; cifar10 takes root"),
        ({"dataset": "cifar10", "resize": 224}, "resize is for dataset: parquet; cifar10 takes root"),
        (PARQUET | {"crop": 0}, r"must be a whole number of pixels, at least 1, or \[height, width\]; got 0"),
        (PARQUET | {"resize": [8, 8, 8]}, r"or \[height, width\]; got \[8, 8, 8\]"),
        (PARQUET | {"resize": True}, "got True"),
        (PARQUET | {"channels": 2}, r"must be 3 \(colour\) or 1 \(gray\); got 2"),
        (PARQUET | {"background": [0, 0, 256]}, r"must be black, white, or \[red, green, blue\] of 0 to 255"),
        (PARQUET | {"background": "red"}, "got 'red'"),
    ],
)
def test_keys_that_do_not_fit_the_data_set(data: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spec(data=data)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({"name": "rsam", "order": 1}, "must not be 1"),
        ({"name": "rsam", "order": 0.4, "perturbation": "exact"}, "order must be at least 0.5"),
        ({"name": "rsam", "plain_epochs": 3, "plain_until_accuracy": 0.3}, "exclude each other"),
        ({"name": "sam", "eta": 0.1}, "Extra inputs"),
    ],
)
def test_optimizer_settings_that_make_no_sense(optimizer: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spec(optimizer={"learning_rate": 0.1} | optimizer)


def test_augmentation_settings_need_augmentation() -> None:
    with pytest.raises(ValueError, match="rotation has no effect without augment: true"):
        spec(training={"epochs": 3, "batch_size": 32, "rotation": 20})


def test_a_label_names_what_the_method_adds() -> None:
    rsam = spec(optimizer={"name": "rsam", "learning_rate": 0.1, "rho": 0.8, "order": 1.1})
    assert rsam.label == "rsam rho=0.8 order=1.1 lr=0.1 bs=32 wd=0 seed=0 digits_cnn"
