"""The lists of shipped sweeps and measures."""

import pytest

from analysis.measures import MEASURES
from orchestrator.config.load import shipped_sweeps
from orchestrator.display import show_measures, show_sweep, show_sweeps


def test_each_shipped_sweep_has_a_line_with_trials_and_cost_that_fits_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_sweeps()
    lines = capsys.readouterr().out.splitlines()
    for name in shipped_sweeps():
        (line,) = (line for line in lines if line.split()[0] == name)
        assert "trials" in line
        assert "GPU h" in line or "minutes" in line
        assert len(line) <= 80, line
    assert lines[1].split()[0] == "digits"


@pytest.mark.parametrize("name", ["digits", "table1-cifar10"])
def test_one_of_them_is_described(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_sweep(name)
    shown = capsys.readouterr().out
    assert f"renyi run {name}" in shown
    assert "yaml-language-server" not in shown
    assert "Gives" in shown


def test_every_measure_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    show_measures()
    shown = capsys.readouterr().out
    assert all(measure in shown for measure in MEASURES)
