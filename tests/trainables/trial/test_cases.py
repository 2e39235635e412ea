"""What a rehearsal tells apart: networks and optimizers, and the batches that epochs end with."""

from typing import Any

from trainables.trial.cases import cases_of
from trainables.trial.specs import TrialSpec


def spec(batch_size: int, name: str = "sgd", **training: Any) -> TrialSpec:
    return TrialSpec.model_validate(
        {
            "data": {"dataset": "digits"},
            "model": "digits_cnn",
            "training": {"epochs": 3, "batch_size": batch_size} | training,
            "optimizer": {"name": name, "learning_rate": 0.1},
        }
    )


def test_each_pair_of_network_and_optimizer_is_one_case() -> None:
    specs = [spec(32), spec(64), spec(32, "adamw"), spec(64, mixup=0.2), spec(32, precision="bfloat16")]
    assert [case.spec for case in cases_of(specs)] == [specs[0], specs[2], specs[4]]


def test_only_batches_that_are_taken_count() -> None:
    (case,) = cases_of([spec(333, drop_last=True), spec(37), spec(999, drop_last=True), spec(37, cutout=2)])
    assert case.batch_sizes == (37,)
