"""The rows of a measurement as text, HTML, table and picture."""

import numpy as np
import torch
from torch import nn

from analysis.schema import Measurement
from analysis.sharpness import check_invariance, measure
from analysis.sharpness.measurements import Measurements

ROWS = Measurements(
    [
        *(Measurement("<fc>.weight", "renyi", order, -order, 0.1) for order in (0.5, 1.0, 1.5)),
        Measurement("all", "trace", None, 2.5, 0.0),
        Measurement("all", "pacbayes_flat", None, None, None, "no accuracy"),
    ]
)


def test_headline_rows_are_printed_and_the_others_counted() -> None:
    lines = repr(ROWS).splitlines()
    assert lines[0].split() == ["measure", "layer", "parameter", "value"]
    assert lines[1].split() == ["renyi", "<fc>.weight", "0.5", "-0.5", "±", "0.1"]
    assert lines[-2].endswith("missing: no accuracy")
    assert lines[-1] == "1 rows at other parameters: see .to_frame()"
    assert "&lt;fc&gt;.weight" in ROWS._repr_html_()


def test_the_table_has_every_row() -> None:
    frame = ROWS.to_frame()
    assert list(frame.columns) == ["layer", "measure", "parameter", "value", "stderr", "reason"]
    assert len(frame) == len(ROWS)
    assert frame.reason.iloc[-1] == "no accuracy"
    assert Measurements().to_frame().empty


def test_a_panel_for_each_measure_with_a_value() -> None:
    panels = [panel for panel in ROWS.plot().axes if panel.get_visible()]
    assert [panel.get_title() for panel in panels] == ["Rényi sharpness", "Hessian trace"]
    assert np.asarray(panels[0].lines[0].get_xydata()).tolist() == [[0.5, -0.5], [1.0, -1.0], [1.5, -1.5]]
    assert len(Measurements().plot().axes) == 1


def test_what_measures_return_renders() -> None:
    torch.manual_seed(0)
    model, x, y = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.randn(6, 3), torch.arange(6) % 2
    rows = measure(model, x, y, measures=["l2"])
    assert isinstance(rows, Measurements)
    assert [row.measure for row in rows] == ["l2"] * 3
    check = check_invariance(model, x, y, measures=["l2"])
    assert check.to_frame().relative.iloc[0] == 1.0
    assert "relative change" in repr(check)
    assert "<table>" in check._repr_html_()
