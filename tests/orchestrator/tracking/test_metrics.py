"""The points of a trial's run: each with the store's own time, so that logging it twice is logging it once."""

from dataclasses import replace

from analysis.results.parquet import measurements_to_parquet
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.tracking.metrics import linked, of_epochs, of_measurement, of_outcome, of_shifts
from tests.orchestrator.made_up import SHIFTED, measured, outcome


def test_an_epoch_has_a_point_for_each_metric_that_it_has() -> None:
    first, _ = outcome().history
    points = {point.key: point for point in of_epochs([replace(first, system={"cpu_utilization_percentage": 50.0})])}
    assert set(points) == {
        "training/train_loss",
        "training/test_loss",
        "training/test_accuracy",
        "training/learning_rate",
        "system/cpu_utilization_percentage",
    }
    assert {(point.step, point.timestamp) for point in points.values()} == {(0, 1_000_000)}


def test_an_epoch_that_was_not_evaluated_has_no_point_of_the_test_images() -> None:
    first, _ = outcome().history
    (unseen,) = [replace(first, test_loss=None, test_accuracy=None, averaged_train_loss=0.5)]
    assert {point.key for point in of_epochs([unseen])} == {
        "training/train_loss",
        "training/averaged_train_loss",
        "training/learning_rate",
    }


def test_a_trained_trial_has_its_gap_at_the_time_of_the_last_epoch() -> None:
    (gap,) = (point for point in of_outcome(outcome()) if point.key == "generalization/gap_loss")
    assert (round(gap.value, 6), gap.timestamp) == (0.2, 1_001_000)


def test_points_of_the_final_network_are_linked_to_its_model_and_those_of_epochs_are_not() -> None:
    points = linked([*of_epochs(outcome().history), *of_outcome(outcome())], "m-1")
    assert {point.model_id for point in points if point.key.startswith("generalization/")} == {"m-1"}
    assert {point.model_id for point in points if point.key.startswith("training/")} == {None}
    assert linked(of_outcome(outcome()), None) == of_outcome(outcome())


def test_a_measurement_has_headlines_only(config: SweepConfig) -> None:
    found = measured(config.sharpness)
    record = {**found.record, "timestamp": 5.0}
    points = of_measurement(outcome().generalization, record, measurements_to_parquet(found.rows))
    names = {point.key for point in points}
    assert {"renyi_0.5/all", "renyi_1.5/fc.weight", "trace/all", "l2/all", "generalization/gap_loss_subset"} <= names
    assert {point.timestamp for point in points} == {5000}
    wide = config.sharpness.model_copy(update={"orders": (0.5, 2.0)})
    rows = measured(wide).rows
    more = of_measurement(outcome().generalization, record, measurements_to_parquet(rows))
    assert "renyi_2/all" not in {point.key for point in more}  # in the artifact only


def test_a_shift_has_its_points_at_the_time_of_its_evaluation() -> None:
    points = {point.key: point for point in of_shifts(outcome().generalization, {"noise_3": SHIFTED})}
    assert points["generalization/gap_loss_under_noise_3"].value == 0.5
    assert points["generalization/test_accuracy_under_noise_3"].value == 0.8
    assert {point.timestamp for point in points.values()} == {2_000_000}
