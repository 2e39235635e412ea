"""How lines get to the terminal."""

import io
import time

import pytest
from rich.console import Console

from orchestrator.display.terminal import announced, duration, say


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 40 columns."""
    written = io.StringIO()
    wide = Console(file=written, width=40, force_terminal=True, color_system=None, highlight=False, soft_wrap=True)
    monkeypatch.setattr("orchestrator.display.terminal.console", wide)
    return written


def test_text_is_wrapped_at_words_and_what_is_to_be_copied_stays_whole(terminal: io.StringIO) -> None:
    say("measures: renyi, trace, lambda_max, sam_sharpness, fisher_rao_norm")
    path = "/a/path/that/is/longer/than/the/terminal/is/wide"
    say(f"results: {path}")
    say("try again with: renyi retry sweep.yaml --storage /results", whole=True)
    lines = terminal.getvalue().splitlines()
    assert lines[0] == "  measures: renyi, trace, lambda_max,"
    assert lines[1].startswith("    sam_sharpness")
    assert any(line.strip() == path for line in lines)
    assert lines[-1] == "  try again with: renyi retry sweep.yaml --storage /results"


def test_output_that_is_no_terminal_has_one_line_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    say("name[/bold]: " + "word " * 60, 0, bold="name", style="red")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("name[/bold]: word word")
    assert "\x1b" not in line


def test_a_step_is_named_once_it_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.display.terminal.SECONDS_OF_SILENCE", 0.05)
    with announced("looking around"):
        pass
    time.sleep(0.1)
    assert capsys.readouterr().out == ""
    with announced("looking around"):
        time.sleep(0.2)
    assert capsys.readouterr().out == "  looking around …\n"


def test_durations_are_in_a_unit_that_fits() -> None:
    assert duration(59.4) == "59 s"
    assert duration(5400) == "1.5 h"
    assert duration(10 * 86400) == "10 days"
