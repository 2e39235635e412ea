import numpy as np
import pandas as pd
import pytest

from analysis.figures.gap_against_sharpness import draw_gap_against_sharpness, gap_against_sharpness


@pytest.fixture
def results() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trial_id": f"t{index}",
            "optimizer": "sgd" if index < 4 else "adam",
            "layer": layer,
            "measure": "renyi",
            "parameter": order,
            "value": np.nan if index == 7 else order * index,
            "gap_loss": 0.1 * index,
        }
        for layer in ("all", "fc.weight")
        for order in (0.5, 1.5, 3.0)
        for index in range(8)
    )


def test_a_panel_for_each_order_and_layer_with_all_layers_last(results: pd.DataFrame) -> None:
    panels = gap_against_sharpness(results)
    assert [(panel.order, panel.layer) for panel in panels] == [
        (0.5, "fc.weight"),
        (0.5, "all"),
        (1.5, "fc.weight"),
        (1.5, "all"),
    ]
    assert panels[0].tau.tau_b == 1.0
    assert panels[0].tau.missing == 1
    np.testing.assert_allclose(panels[2].sharpness, 1.5 * np.arange(7))
    assert panels[0].group == ["sgd"] * 4 + ["adam"] * 3


def test_the_drawing_shows_every_point_and_names_every_panel(results: pd.DataFrame) -> None:
    figure = draw_gap_against_sharpness(gap_against_sharpness(results), "title")
    axes = figure.axes
    assert len(axes) == 4
    for ax in axes:
        assert sum(len(np.asarray(points.get_offsets())) for points in ax.collections) == 7
    assert axes[0].get_title().startswith("fc\nτ = 1.00")
    assert "α = 1.5" in axes[2].get_xlabel()
