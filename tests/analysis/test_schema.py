from analysis.schema import GAP_LOSS, VALIDATION_ACCURACY, Measurement, is_generalization, metric_name


def test_metric_names_group_by_measure() -> None:
    assert metric_name(Measurement("conv1.weight", "renyi", 0.5, -1.0, 0.0)) == "renyi_0.5/conv1.weight"
    assert metric_name(Measurement("all", "trace", None, 1.0, 0.0)) == "trace/all"


def test_generalization_quantities_are_not_parameters_of_a_trial() -> None:
    assert is_generalization(GAP_LOSS)
    assert is_generalization(VALIDATION_ACCURACY)
    assert not is_generalization("learning_rate")
