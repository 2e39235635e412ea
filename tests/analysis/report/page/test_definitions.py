from analysis.bibliography import WORKS
from analysis.measures import MEASURES
from analysis.report.page.definitions import definitions


def test_every_measure_of_the_catalogue_has_a_formula_and_a_source_that_is_known() -> None:
    for each in definitions(MEASURES):
        assert each.formula, each.key
        assert each.source, each.key
    assert {key for measure in MEASURES.values() for key in measure.source.split()} <= set(WORKS)


def test_a_measure_of_ones_own_is_listed_without_a_formula() -> None:
    (found,) = definitions(["my_module:my_measure", "my_module:my_measure"])
    assert (found.formula, found.source) == ("", "")
