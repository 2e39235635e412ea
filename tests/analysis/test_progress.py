"""The progress bar: where it is drawn, and that it counts."""

import pytest

from analysis.progress import is_watched, progress_bar


def test_nothing_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert not is_watched()
    with progress_bar() as bar:
        bar.plan(3)
        bar.step("a layer")
    assert bar.planned == 3
    assert capsys.readouterr() == ("", "")


def test_a_bar_counts_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(True) as bar:
        bar.plan(2)
        bar.plan(1)
        bar.step("fc.weight")
        (task,) = bar.display.tasks
        assert (task.completed, task.total, task.description) == (1, 3, "fc.weight")
    assert capsys.readouterr().out == ""
