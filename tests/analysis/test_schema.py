from analysis.schema import Measurement, headline, headline_parameters, metric_name


def rows(measure: str, *parameters: float | None) -> list[Measurement]:
    return [Measurement("all", measure, parameter, 1.0, 0.0) for parameter in parameters]


def test_headline_parameters_are_shown() -> None:
    taken = [*rows("renyi", 0.1, 0.5, 1.5), *rows("sam", 0.05, 0.5), *rows("l2", None), *rows("avg", 0.1, 0.2)]
    assert [metric_name(row) for row in headline(taken)] == [
        *("renyi_0.5/all", "renyi_1.5/all"),
        *("sam_0.05/all", "l2/all", "avg_0.1/all"),
    ]


def test_all_are_shown_where_none_is_a_headline_parameter() -> None:
    assert headline_parameters("sam", [0.3, 0.4]) == {0.3, 0.4}
    assert headline_parameters("mine", [1.0, 2.0]) == {1.0, 2.0}
    assert headline_parameters("l2", [None]) == {None}
