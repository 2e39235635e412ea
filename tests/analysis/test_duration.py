import pytest

from analysis.duration import in_words, seconds_of
from analysis.settings import SharpnessSettings
from trainables.trial.specs import TrainingSpec


@pytest.mark.parametrize(
    ("text", "seconds", "words"),
    [
        ("90s", 90, "90 s"),
        ("30min", 1800, "30 min"),
        ("8h", 28800, "8 h"),
        ("1.5 h", 5400, "90 min"),
        ("2d", 172800, "48 h"),
    ],
)
def test_durations_are_read_and_said(text: str, seconds: float, words: str) -> None:
    assert seconds_of(text) == seconds
    assert in_words(seconds) == words


@pytest.mark.parametrize("text", ["", "h", "8 hours", "-1s", "1:30", "8h30", "nan", "inf"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration such as 90s, 30min, 8h or 2d"):
        seconds_of(text)


@pytest.mark.parametrize("value", [0, -1, "0s", float("inf"), float("nan"), "soon", []])
def test_a_limit_must_be_positive_and_finite(value: object) -> None:
    with pytest.raises(ValueError, match="limit"):
        SharpnessSettings(time_limit=value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="limit"):
        TrainingSpec(epochs=1, batch_size=1, silence_limit=value)  # type: ignore[arg-type]


def test_limits_are_no_part_of_an_identity() -> None:
    limited = SharpnessSettings.model_validate({"time_limit": "2h", "silence_limit": None})
    assert limited.time_limit == 7200
    assert limited.measurement_id == SharpnessSettings().measurement_id
