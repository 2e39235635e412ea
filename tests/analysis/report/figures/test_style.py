"""The files of a figure, and its drawing as a reader would check it."""

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from analysis.measures import MEASURES
from analysis.report.evidence import Evidence
from analysis.report.figures.gap_against_sharpness import Panel, draw_gap_against_sharpness, gap_figure
from analysis.report.figures.spectra import spectra_figure
from analysis.report.figures.style import Drawn, render
from analysis.report.figures.tau_by_measure import tau_figures
from analysis.report.figures.tau_over_orders import orders_figure
from analysis.results.sweep import SweepResults


@pytest.fixture(scope="module")
def drawings(evidence: Evidence, results: SweepResults) -> list[Drawn]:
    found = [
        gap_figure(evidence.matrix, evidence.association),
        *tau_figures([evidence]),
        orders_figure([evidence]),
        spectra_figure(evidence, results.spectra),
    ]
    assert None not in found
    return [drawn for drawn in found if drawn is not None]


def test_a_figure_has_its_files_and_numbers_and_the_same_bytes_again(drawings: list[Drawn]) -> None:
    drawn = drawings[1]
    files = drawn.files()
    assert set(files) == {f"{drawn.name}.svg", f"{drawn.name}.csv"}
    assert ET.fromstring(files[f"{drawn.name}.svg"]).tag.endswith("svg")
    assert files[f"{drawn.name}.csv"].decode().count("\n") == len(drawn.numbers) + 1
    assert render(drawn.figure, "svg", drawn.name) == files[f"{drawn.name}.svg"]


def test_the_figure_of_one_sweep_among_several_names_it(drawings: list[Drawn]) -> None:
    drawn = drawings[0].of_sweep("digits")
    assert drawn.name.endswith("_digits")
    assert drawn.title.startswith("digits: ")


def test_no_text_of_a_panel_lies_over_another(drawings: list[Drawn]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    values = np.linspace(0.001, 0.005, 5)
    every_measure = [
        Panel(
            measure,
            0.5 if "renyi" in measure else 0.001,
            "all",
            values,
            values,
            ["sgd"] * 5,
            0.5,
            0.1,
            0.8,
            "all layers",
        )
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
