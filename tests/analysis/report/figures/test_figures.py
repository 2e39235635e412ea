"""The figures' numbers against the tables, and their drawings as a reader would check them."""

import dataclasses
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from analysis.measures import MEASURES
from analysis.report.evidence import Evidence, gather
from analysis.report.figures.gap_against_sharpness import (
    Panel,
    draw_gap_against_sharpness,
    gap_against_sharpness,
    gap_figure,
)
from analysis.report.figures.spectra import cluster_table, layer_spectrum, spectra_figure, typical_trial
from analysis.report.figures.style import MANY_POINTS, Drawn
from analysis.report.figures.tau_by_measure import tau_by_measure, tau_figure
from analysis.report.figures.tau_over_orders import orders_figure, tau_over_orders
from analysis.results.sweep import SweepResults
from analysis.spectrum.quadrature import SpectralQuadrature
from tests.analysis.simulated import LAYERS, ORDERS, simulated_sweep


@pytest.fixture(scope="module")
def results() -> SweepResults:
    return simulated_sweep(spectra=True)


@pytest.fixture(scope="module")
def evidence(results: SweepResults) -> Evidence:
    return gather(results)


@pytest.fixture(scope="module")
def drawings(evidence: Evidence, results: SweepResults) -> list[Drawn]:
    found = [
        gap_figure(evidence.matrix, evidence.association),
        tau_figure([evidence]),
        orders_figure([evidence]),
        spectra_figure(evidence, results.spectra),
    ]
    assert None not in found
    return [drawn for drawn in found if drawn is not None]


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


def test_several_sweeps_stand_side_by_side(evidence: Evidence) -> None:
    other = gather(simulated_sweep("null", name="other"))
    table = tau_by_measure([evidence, other])
    assert set(table["sweep"]) == {"simulated", "other"}
    drawn = tau_figure([evidence, other])
    assert drawn is not None
    assert [ax.get_title() for ax in drawn.figure.axes] == ["simulated", "other"]
    assert "simulated 30, other 30" in drawn.caption


def test_every_order_of_every_layer_is_a_point(evidence: Evidence) -> None:
    table = tau_over_orders([evidence])
    assert len(table) == len(LAYERS) * len(ORDERS)
    for layer in LAYERS:
        assert list(table[table["layer"] == layer]["parameter"]) == sorted(ORDERS)


def test_fewer_than_three_orders_make_no_curve() -> None:
    results = simulated_sweep()
    kept = results.table[results.table["parameter"].isna() | results.table["parameter"].isin([0.5, 1.5])]
    assert orders_figure([gather(dataclasses.replace(results, table=kept))]) is None


def test_a_density_integrates_to_one_and_knows_its_kind() -> None:
    spectrum = SpectralQuadrature.from_eigenvalues(np.r_[2.0, 1.9, 1.0, 0.98, np.full(40, 1e-3)], dim=100)
    found = layer_spectrum("fc.weight", spectrum)
    assert found is not None
    assert np.trapezoid(found.density, found.eigenvalues) == pytest.approx(1, abs=0.02)
    assert found.kind.value == "multi-cluster"
    assert layer_spectrum("dead", SpectralQuadrature.from_eigenvalues([0.0], dim=3)) is None


def test_kinds_are_counted_against_the_order_of_highest_tau(evidence: Evidence, results: SweepResults) -> None:
    table = cluster_table(evidence, results.spectra).set_index("layer")
    assert list(table.index) == list(LAYERS)
    assert (table["multi-cluster"] == 30).all()
    assert table.loc["fc.weight", "best_order"] == 2.0
    assert (table.loc["fc.weight", "matches"], table.loc["fc.weight", "mismatches"]) == (0, 30)


def test_the_trial_shown_is_chosen_by_its_training_loss(evidence: Evidence, results: SweepResults) -> None:
    trials = evidence.matrix.trials
    chosen = trials[trials["trial_id"] == typical_trial(evidence, results.spectra)].iloc[0]
    assert (trials["train_loss"] < chosen["train_loss"]).sum() == 15
    assert spectra_figure(evidence, {}) is None


def test_captions_state_trials_and_intervals(drawings: list[Drawn]) -> None:
    for drawn in drawings[:3]:
        assert "30" in drawn.caption
        assert "95 % bootstrap interval" in drawn.caption


def test_each_figure_is_png_svg_and_pdf_with_its_numbers(drawings: list[Drawn]) -> None:
    for drawn in drawings:
        files = drawn.files()
        assert set(files) == {f"{drawn.name}.{kind}" for kind in ("png", "svg", "pdf", "csv")}
        assert files[f"{drawn.name}.png"].startswith(b"\x89PNG")
        assert files[f"{drawn.name}.pdf"].startswith(b"%PDF")
        assert ET.fromstring(files[f"{drawn.name}.svg"]).tag.endswith("svg")
        assert files[f"{drawn.name}.csv"].decode().count("\n") == len(drawn.numbers) + 1
        assert drawn.files()[f"{drawn.name}.svg"] == files[f"{drawn.name}.svg"]


def test_no_text_of_a_panel_lies_over_another(drawings: list[Drawn]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    values = np.linspace(0.001, 0.005, 5)
    every_measure = [
        Panel(measure, 0.5 if "renyi" in measure else 0.001, "all", values, values, ["sgd"] * 5, 0.5, 0.1, 0.8)
        for measure in tuple(MEASURES)
    ]
    for figure in [*(drawn.figure for drawn in drawings), draw_gap_against_sharpness(every_measure)]:
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        shown = [ax for ax in figure.axes if ax.get_visible()]
        boxes = [
            text.get_window_extent(renderer) for ax in shown for text in (ax.title, ax.xaxis.label, ax.yaxis.label)
        ]
        boxes = [box for box in boxes if box.width > 1 and box.height > 1]
        for index, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:index])
