import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.models import MODELS
from trainables.specs import MODEL_NAMES, TrialSpec


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


def test_the_names_that_files_may_use_are_those_that_exist() -> None:
    assert set(MODEL_NAMES) == set(MODELS)


def test_warmup_must_end_before_training() -> None:
    with pytest.raises(ValueError, match="warmup_epochs"):
        spec(training={"epochs": 3, "batch_size": 32, "warmup_epochs": 3})
