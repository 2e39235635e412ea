import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.results.targets import LOSS, TEST_ERROR, check_known, shift_target, target_of, with_targets


def test_a_key_names_a_column() -> None:
    assert target_of("loss") is LOSS
    assert target_of("error").column == "gap_error"
    assert target_of("test_error") is TEST_ERROR


@pytest.mark.parametrize("key", ["los", "gap", "", "shift:", "noise_3"])
def test_an_unknown_key_is_refused(key: str) -> None:
    with pytest.raises(AnalysisError, match=f"--gap {key}: unknown"):
        target_of(key)


def test_the_test_error_follows_from_the_test_accuracy() -> None:
    trials = with_targets(pd.DataFrame({"test_accuracy": [0.75, 1.0]}))
    assert trials["test_error"].tolist() == [0.25, 0.0]
    assert with_targets(pd.DataFrame({"gap_loss": [1.0]})).columns.tolist() == ["gap_loss"]


def test_a_target_that_no_trial_has_is_refused_with_what_there_is() -> None:
    check_known(LOSS, ["gap_loss", "gap_error"], "digits")
    with pytest.raises(AnalysisError, match=r"--gap test_error: no trial of digits has it; there: loss, error$"):
        check_known(TEST_ERROR, ["gap_loss", "gap_error"], "digits")


def test_a_shift_is_a_target_by_its_name() -> None:
    target = target_of("shift:noise_3")
    assert target == shift_target("noise_3")
    assert target.column == "gap_loss_under_noise_3"
    assert target.title == "gap under noise_3 (test loss on shifted images − training loss)"
    assert target.stderr == ("train_loss_stderr", "test_loss_under_noise_3_stderr")


def test_a_shift_that_is_not_logged_is_refused_with_those_that_are() -> None:
    there = ["gap_loss", "gap_loss_under_blur_2", "gap_loss_under_blur_2_stderr", "test_loss_under_blur_2"]
    check_known(shift_target("blur_2"), there, "digits")
    expected = (
        "--gap shift:noise_3: no trial of digits has it; there: loss, shift:blur_2; "
        "`shifts` in the sweep file and `renyi run` add it"
    )
    with pytest.raises(AnalysisError) as caught:
        check_known(shift_target("noise_3"), there, "digits")
    assert str(caught.value) == expected
