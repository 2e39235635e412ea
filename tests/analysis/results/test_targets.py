import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.results.targets import ERROR, LOSS, TEST_ERROR, check_known, known_targets, target_of, with_targets


def test_a_key_names_a_column() -> None:
    assert target_of("loss") is LOSS
    assert target_of("error").column == "gap_error"
    shifted = target_of("shift:noise_3")
    assert (shifted.column, shifted.stderr) == ("test_error/noise_3", ("test_error/noise_3_stderr",))


@pytest.mark.parametrize("key", ["los", "shift:", "noise_3", ""])
def test_an_unknown_key_is_refused(key: str) -> None:
    with pytest.raises(AnalysisError, match=f"--gap {key}: unknown"):
        target_of(key)


def test_the_test_error_follows_from_the_test_accuracy() -> None:
    trials = with_targets(pd.DataFrame({"test_accuracy": [0.75, 1.0]}))
    assert trials["test_error"].tolist() == [0.25, 0.0]
    assert with_targets(pd.DataFrame({"gap_loss": [1.0]})).columns.tolist() == ["gap_loss"]


def test_a_target_that_no_trial_has_is_refused_with_what_there_is_and_what_to_do() -> None:
    columns = ["gap_loss", "gap_error", "test_error", "test_error/blur_2", "test_error/blur_2_stderr"]
    assert known_targets(columns) == [LOSS, ERROR, TEST_ERROR, target_of("shift:blur_2")]
    check_known(target_of("shift:blur_2"), columns, "digits")
    with pytest.raises(AnalysisError, match="no trial of digits has it; there: loss, error, test_error, shift:blur_2;"):
        check_known(target_of("shift:noise_3"), columns, "digits")
