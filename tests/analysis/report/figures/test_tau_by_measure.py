from analysis.report.evidence import Evidence, gather
from analysis.report.figures.tau_by_measure import tau_by_measure, tau_figure
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
    drawn = tau_figure([evidence, other])
    assert drawn is not None
    assert [ax.get_title() for ax in drawn.figure.axes] == ["simulated", "other"]
    assert "simulated 30, other 30" in drawn.caption
    assert "95 % bootstrap interval" in drawn.caption
