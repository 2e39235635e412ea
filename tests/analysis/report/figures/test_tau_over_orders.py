import dataclasses

from analysis.report.evidence import Evidence, gather
from analysis.report.figures.tau_over_orders import orders_figure, tau_over_orders
from tests.analysis.simulated import LAYERS, ORDERS, simulated_sweep


def test_every_order_of_every_layer_is_a_point(evidence: Evidence) -> None:
    table = tau_over_orders([evidence])
    assert len(table) == len(LAYERS) * len(ORDERS)
    for layer in LAYERS:
        assert list(table[table["layer"] == layer]["parameter"]) == sorted(ORDERS)
    drawn = orders_figure([evidence])
    assert drawn is not None
    assert "simulated 30" in drawn.caption
    assert "95 % bootstrap interval" in drawn.caption


def test_fewer_than_three_orders_make_no_curve() -> None:
    results = simulated_sweep()
    kept = results.table[results.table["parameter"].isna() | results.table["parameter"].isin([0.5, 1.5])]
    assert orders_figure([gather(dataclasses.replace(results, table=kept))]) is None
