from analysis.measures import MEASURES, headline, headline_parameters, symbol_of, title_of
from analysis.schema import Measurement, metric_name
from analysis.settings import SharpnessSettings


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


def test_every_measure_has_a_title_of_its_own_and_a_known_cost() -> None:
    settings = SharpnessSettings()
    assert len({measure.title for measure in MEASURES.values()}) == len(MEASURES)
    for key, measure in MEASURES.items():
        assert key == measure.key
        assert settings.passes(key) >= 0
        assert not measure.headline or measure.symbol


def test_measures_of_one_task_cost_the_same() -> None:
    settings = SharpnessSettings()
    costs: dict[str, float] = {}
    for key, measure in MEASURES.items():
        if measure.task is not None:
            assert costs.setdefault(measure.task, settings.passes(key)) == settings.passes(key)
            assert settings.passes(key) >= 100


def test_a_users_own_measure_has_its_name_as_title() -> None:
    assert title_of("my_package.my_measure") == "my package.my measure"
    assert symbol_of("my_package.my_measure") is None
