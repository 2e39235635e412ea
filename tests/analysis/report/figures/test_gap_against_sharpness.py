import dataclasses

import numpy as np

from analysis.report.evidence import Evidence
from analysis.report.figures.gap_against_sharpness import draw_gap_against_sharpness, gap_against_sharpness, gap_figure
from analysis.report.figures.style import MANY_POINTS
from tests.analysis.simulated import LAYERS


def test_a_panel_for_each_declared_order_and_layer_then_the_other_measures(evidence: Evidence) -> None:
    panels = gap_against_sharpness(evidence.matrix, evidence.association)
    renyi = [(0.5, layer) for layer in LAYERS] + [(1.5, layer) for layer in LAYERS]
    assert [(panel.parameter, panel.layer) for panel in panels if panel.measure == "renyi"] == renyi
    assert [(panel.measure, panel.layer) for panel in panels[6:]] == [("trace", "all"), ("sam", "all")]
    for panel in panels:
        row = evidence.tau[
            (evidence.tau["measure"] == panel.measure)
            & (evidence.tau["layer"] == panel.layer)
            & ((evidence.tau["parameter"] == panel.parameter) | np.isnan(panel.parameter))
        ].iloc[0]
        assert (panel.tau, panel.ci_low, panel.ci_high) == (row["tau_b"], row["ci_low"], row["ci_high"])
        assert len(panel.values) == len(panel.gap) == len(panel.group) == 30


def test_every_panel_shows_every_point_and_its_tau(evidence: Evidence) -> None:
    panels = gap_against_sharpness(evidence.matrix, evidence.association)
    figure = draw_gap_against_sharpness(panels)
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert len(shown) == len(panels)
    for ax in shown:
        assert sum(len(np.asarray(points.get_offsets())) for points in ax.collections) == 30
        assert "τ = " in ax.get_title()
    assert not any(points.get_rasterized() for points in shown[0].collections)
    many = dataclasses.replace(panels[0], values=np.zeros(MANY_POINTS + 1), gap=np.zeros(MANY_POINTS + 1))
    many = dataclasses.replace(many, group=["sgd"] * (MANY_POINTS + 1))
    assert all(points.get_rasterized() for points in draw_gap_against_sharpness([many]).axes[0].collections)


def test_a_measure_over_several_decades_has_a_logarithmic_axis(evidence: Evidence) -> None:
    panel = gap_against_sharpness(evidence.matrix, evidence.association)[0]
    wide = dataclasses.replace(panel, values=np.logspace(-2, 2, 30))
    scales = [draw_gap_against_sharpness([shown]).axes[0].get_xscale() for shown in (panel, wide)]
    assert scales == ["linear", "log"]


def test_the_caption_states_trials_and_intervals(evidence: Evidence) -> None:
    drawn = gap_figure(evidence.matrix, evidence.association)
    assert drawn is not None
    assert "30 networks" in drawn.caption
    assert "95 % bootstrap interval" in drawn.caption
