"""Settings of training that make no sense together: each is refused with its reason, and all are refused at once."""

from typing import Any

import pytest
from pydantic import ValidationError

from trainables.trial.specs import TrialSpec


def spec(
    training: dict[str, Any] | None = None,
    optimizer: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    **changes: Any,
) -> TrialSpec:
    fields = {
        "data": {"dataset": "digits"} | (data or {}),
        "model": "digits_cnn",
        "training": {"epochs": 9, "batch_size": 32} | (training or {}),
        "optimizer": {"name": "sgd", "learning_rate": 0.1} | (optimizer or {}),
    }
    return TrialSpec.model_validate(fields | changes)


def problems(**settings: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        spec(**settings)
    return [error["msg"].removeprefix("Value error, ") for error in caught.value.errors()]


MULTI_STEP = {"schedule": "multi_step", "milestones": [3, 6]}


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"schedule": "multi_step"}, "schedule: multi_step needs milestones"),
        ({"milestones": [3]}, "milestones has no effect without schedule: multi_step"),
        ({"schedule": "constant", "decay_factor": 0.2}, "decay_factor has no effect without schedule: multi_step"),
        (MULTI_STEP | {"milestones": [6, 3]}, "milestones must ascend; got [6, 3]"),
        (MULTI_STEP | {"milestones": [3, 3]}, "milestones must ascend; got [3, 3]"),
        (
            MULTI_STEP | {"milestones": [3, 9]},
            "milestone 9 has no effect: it must be above warmup_epochs (0) and below",
        ),
        (MULTI_STEP | {"warmup_epochs": 3}, "milestone 3 has no effect: it must be above warmup_epochs (3) and below"),
        (MULTI_STEP | {"learning_rate_floor": 1e-4}, "learning_rate_floor is where a cosine ends"),
        ({"mixup": 0.2, "target_train_loss": 0.1}, "target_train_loss and mixup exclude each other"),
        ({"drop_last": True, "batch_size": 1001}, "batch_size (1001) must be at most the 1000 training images"),
        ({"cutout": 9}, "cutout (9) must be at most the 8 pixels of the images' side"),
        ({"label_smoothing": 1}, "should be less than 1"),
        ({"label_smoothing": -0.1}, "should be greater than or equal to 0"),
        ({"ema_decay": 1}, "should be less than 1"),
        ({"ema_decay": 0}, "should be greater than 0"),
        ({"mixup": 0}, "should be greater than 0"),
        ({"mixup": float("inf")}, "should be a finite number"),
        ({"cutout": 0}, "should be greater than 0"),
        ({"milestones": 3}, "is a list of epochs, and in a grid a list of such lists"),
        ({"milestones": []}, "should have at least 1 item"),
        ({"evaluate_every": 0}, "should be greater than 0"),
    ],
)
def test_what_makes_no_sense_is_refused(training: dict[str, Any], message: str) -> None:
    (problem,) = problems(training=training)
    assert message in problem


@pytest.mark.parametrize("name", ["sgd", "sam", "asam", "eigen_sam", "rsam", "look_sam", "gsam", "friendly_sam"])
def test_nesterov_needs_momentum(name: str) -> None:
    spec(optimizer={"name": name, "nesterov": True})
    assert problems(optimizer={"name": name, "nesterov": True, "momentum": 0.0}) == [
        "nesterov: true needs a momentum above 0"
    ]


def test_a_batch_of_all_images_that_are_left_is_one_to_keep() -> None:
    spec(training={"drop_last": True, "batch_size": 800}, data={"validation": 200})
    (problem,) = problems(training={"drop_last": True, "batch_size": 801}, data={"validation": 200})
    assert "must be at most the 800 training images" in problem


def test_all_contradictions_are_told_at_once() -> None:
    training = {"warmup_epochs": 9, "flip": False, "schedule": "multi_step", "mixup": 1, "target_train_loss": 1}
    found = problems(training=training, optimizer={"nesterov": True, "momentum": 0})
    assert len(found) == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"label_smoothing": 0.1}},
        {"training": MULTI_STEP},
        {"training": MULTI_STEP | {"decay_factor": 0.2}},
        {"training": MULTI_STEP | {"milestones": [3]}},
        {"training": {"cutout": 4}},
        {"training": {"mixup": 0.2}},
        {"training": {"drop_last": True}},
        {"training": {"ema_decay": 0.9}},
        {"optimizer": {"nesterov": True}},
        {"optimizer": {"name": "adamw"}},
        {"optimizer": {"name": "adam"}},
    ],
)
def test_each_setting_makes_another_trial_with_another_record(changes: dict[str, Any]) -> None:
    plain, changed = spec(), spec(**changes)
    assert changed.trial_id != plain.trial_id
    assert changed.parameters() != plain.parameters()
    assert TrialSpec.model_validate_json(changed.model_dump_json()) == changed


def test_off_is_the_trial_of_before() -> None:
    """By its default, by null, and in the parameters that are logged."""
    off = spec(
        training={
            **dict.fromkeys(("cutout", "mixup", "ema_decay", "milestones", "decay_factor", "label_smoothing")),
            "drop_last": False,
            "evaluate_every": 5,
        },
        optimizer={"nesterov": False},
    )
    assert off.trial_id == spec().trial_id
    assert off.label == spec().label
    new = {"nesterov", "label_smoothing", "cutout", "mixup", "drop_last", "ema_decay", "milestones", "decay_factor"}
    assert not new & set(off.parameters())


def test_labels_and_parameters_name_what_was_asked_for() -> None:
    changed = spec(training=MULTI_STEP | {"cutout": 4, "mixup": 0.2, "label_smoothing": 0.1, "ema_decay": 0.99})
    assert changed.label == "sgd lr=0.1 bs=32 wd=0 smoothing=0.1 cutout=4 mixup=0.2 ema=0.99 seed=0 digits_cnn"
    assert changed.parameters()["milestones"] == "3 6"
