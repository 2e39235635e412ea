import pytest

from analysis.report.evidence import Evidence, gather
from analysis.report.figures.tau_by_measure import draw_tau_by_measure, tau_by_measure, tau_figures
from tests.analysis.simulated import LAYERS, simulated_sweep


def test_measures_are_ordered_by_strength_and_layers_as_in_the_network(evidence: Evidence) -> None:
    table = tau_by_measure([evidence])
    assert len(table) == evidence.matrix.headline.sum()
    first = table[(table["measure"] == table["measure"].iloc[0]) & (table["parameter"] == table["parameter"].iloc[0])]
    assert table["tau_b"].abs().max() == first["tau_b"].abs().max()
    assert list(first["layer"]) == list(LAYERS)


def test_several_sweeps_stand_side_by_side(evidence: Evidence) -> None:
    other = gather(simulated_sweep("null", name="other"))
    table = tau_by_measure([evidence, other])
    assert set(table["sweep"]) == {"simulated", "other"}
    (drawn,) = tau_figures([evidence, other])
    assert [ax.get_title() for ax in drawn.figure.axes] == ["simulated", "other"]
    assert "simulated 30, other 30" in drawn.caption
    assert "95 % bootstrap interval" in drawn.caption


def test_support_and_opposition_stand_apart_with_the_axis_at_both_ends(evidence: Evidence) -> None:
    table = tau_by_measure([evidence])
    opposed = table["measure"] == "trace"
    columns = ["tau_b", "ci_low", "ci_high"]
    table.loc[opposed, columns] = -table.loc[opposed, columns].abs().to_numpy()[:, [0, 2, 1]]
    (ax,) = draw_tau_by_measure(table, {"fc.weight": "classifier, 8 inputs"}).axes
    places = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert places["supports the gap (τ > 0)"] < places["Rényi sharpness α = 1.5"] < places["opposes the gap (τ < 0)"]
    assert places["opposes the gap (τ < 0)"] < places["Hessian trace"]
    assert "classifier, 8 inputs" in [label.get_text() for label in ax.get_yticklabels()]
    assert ax.xaxis.get_tick_params()["labeltop"]
    assert ax.xaxis.get_tick_params()["labelbottom"]


def test_a_long_figure_begins_with_the_strongest_either_way(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [drawn.name for drawn in tau_figures([evidence])] == ["tau_by_measure"]
    monkeypatch.setattr("analysis.report.figures.tau_by_measure.SCREEN_ROWS", 8)
    short, whole = tau_figures([evidence])
    assert (short.name, whole.within) == ("tau_strongest", "tau_strongest")
    assert set(short.numbers["measure"]) < set(whole.numbers["measure"])
    assert short.numbers["tau_b"].abs().max() == whole.numbers["tau_b"].abs().max()
