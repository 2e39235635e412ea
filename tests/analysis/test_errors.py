from analysis.errors import AnalysisError, UndefinedMeasureError, closest


def test_the_nearest_choice_is_suggested_or_else_all_are_listed() -> None:
    assert closest("trac", ["renyi", "trace"]) == "did you mean trace?"
    assert closest("zzz", ["renyi", "trace"]) == "known: renyi, trace"


def test_one_root_catches_every_error_of_the_package() -> None:
    assert issubclass(UndefinedMeasureError, AnalysisError)
