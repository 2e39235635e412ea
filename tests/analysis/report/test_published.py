from analysis.report.published import TABLE_1, printed_accuracy


def test_the_papers_table_has_34_cells() -> None:
    assert sum(len(row) for row in TABLE_1.values()) == 34
    assert printed_accuracy("cifar10", "resnet20", "rsam") == "93.69±0.12"
    assert printed_accuracy("digits", "digits_cnn", "sgd") == ""
