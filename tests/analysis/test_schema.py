from analysis.schema import (
    GAP_LOSS,
    TEST_LOSS,
    VALIDATION_ACCURACY,
    Measurement,
    is_generalization,
    metric_name,
    shift_of,
    under,
)


def test_metric_names_group_by_measure() -> None:
    assert metric_name(Measurement("conv1.weight", "renyi", 0.5, -1.0, 0.0)) == "renyi_0.5/conv1.weight"
    assert metric_name(Measurement("all", "trace", None, 1.0, 0.0)) == "trace/all"


def test_generalization_quantities_are_not_parameters_of_a_trial() -> None:
    assert is_generalization(GAP_LOSS)
    assert is_generalization(VALIDATION_ACCURACY)
    assert not is_generalization("learning_rate")


def test_a_quantity_under_a_shift_is_a_generalization_quantity_and_its_gap_names_the_shift() -> None:
    assert under(GAP_LOSS, "noise_3") == "gap_loss_under_noise_3"
    assert is_generalization(under(TEST_LOSS, "noise_3"))
    columns = ["gap_loss_under_noise_3", "gap_loss_under_noise_3_stderr", "test_loss_under_noise_3", "gap_loss_subset"]
    assert [shift_of(column) for column in columns] == ["noise_3", None, None, None]
