"""Losses, accuracies and gaps by name."""

from dataclasses import replace

import pytest

from analysis import schema
from orchestrator.store.generalization import of_shift, of_subset, of_training
from tests.orchestrator.made_up import SHIFTED, outcome


def test_the_gap_is_test_minus_training_with_the_errors_of_both() -> None:
    found = of_training(outcome())
    assert found["gap_loss"] == pytest.approx(0.3 - 0.1)
    assert found["gap_error"] == pytest.approx(1.0 - 0.9)
    assert found["gap_loss_stderr"] == pytest.approx((0.02**2 + 0.01**2) ** 0.5)
    assert found[schema.TEST_ACCURACY_BEST] == 0.6
    assert schema.VALIDATION_ACCURACY not in found


def test_the_last_epochs_validation_accuracy_is_given_where_there_is_one() -> None:
    trained = outcome()
    history = [replace(epoch, validation_accuracy=0.7 + epoch.epoch / 10) for epoch in trained.history]
    assert of_training(replace(trained, history=history))[schema.VALIDATION_ACCURACY] == pytest.approx(0.8)


def test_the_best_epoch_is_one_that_was_evaluated() -> None:
    trained = outcome()
    first, last = trained.history
    unseen = replace(last, test_loss=None, test_accuracy=None)
    assert of_training(replace(trained, history=[unseen, first]))[schema.TEST_ACCURACY_BEST] == first.test_accuracy


def test_the_gap_of_the_measured_samples_uses_their_loss() -> None:
    record = {"train_loss_subset": 0.12, "train_loss_subset_stderr": 0.03, "seconds": 1.0}
    found = of_subset(outcome().generalization, record)
    assert found == pytest.approx(
        {
            "train_loss_subset": 0.12,
            "train_loss_subset_stderr": 0.03,
            "gap_loss_subset": 0.18,
            "gap_loss_subset_stderr": (0.02**2 + 0.03**2) ** 0.5,
        }
    )


def test_the_gap_under_a_shift_is_the_shifted_test_loss_minus_the_training_loss() -> None:
    assert of_shift(outcome().generalization, "noise_3", SHIFTED) == pytest.approx(
        {
            "test_loss_under_noise_3": 0.6,
            "test_loss_under_noise_3_stderr": 0.04,
            "test_accuracy_under_noise_3": 0.8,
            "test_accuracy_under_noise_3_stderr": 0.05,
            "gap_loss_under_noise_3": 0.5,
            "gap_loss_under_noise_3_stderr": (0.04**2 + 0.01**2) ** 0.5,
        }
    )
