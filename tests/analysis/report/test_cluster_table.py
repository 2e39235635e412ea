import numpy as np
import pytest

from analysis.report.cluster_table import TOGETHER, cluster_table
from analysis.report.evidence import Evidence
from analysis.results.sweep import SweepResults
from tests.analysis.simulated import LAYERS


def test_kinds_are_counted_against_the_order_of_highest_tau(evidence: Evidence, results: SweepResults) -> None:
    table = evidence.clusters.set_index("layer")
    assert list(table.index) == [*LAYERS, TOGETHER]
    assert (table["multi-cluster"].loc[list(LAYERS)] == 30).all()
    assert table.loc["fc.weight", "best_order"] == 2.0
    assert (table.loc["fc.weight", "matches"], table.loc["fc.weight", "mismatches"]) == (0, 30)
    singles = table.loc[["conv.weight", "fc.weight"]]
    assert table.loc[TOGETHER, "matches"] == singles["matches"].sum()
    assert cluster_table(evidence.matrix, evidence.association, {}).empty
    assert results.spectra


def test_chance_is_how_often_reassigned_gaps_have_their_best_order_on_that_side(evidence: Evidence) -> None:
    columns = [evidence.matrix.column("renyi", order, "fc.weight") or 0 for order in (0.5, 1.0, 1.5, 2.0)]
    below = (evidence.association.permuted[:, columns].argmax(axis=1) == 0).sum()  # every network predicts below 1
    row = evidence.clusters.set_index("layer").loc["fc.weight"]
    draws = len(evidence.association.permuted) + 1
    assert row["chance_matches"] == pytest.approx(30 * below / draws)
    assert row["p_value"] == 1
    assert np.isfinite(evidence.clusters["p_value"]).all()
