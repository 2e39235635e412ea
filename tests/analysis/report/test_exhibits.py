import pandas as pd

from analysis.report.evidence import Evidence, gather
from analysis.report.exhibits import exhibits_of, over_sweeps
from analysis.report.optimizers import compare_optimizers
from analysis.results.sweep import SweepResults, tidy_table
from analysis.results.targets import ERROR, LOSS
from tests.analysis.simulated import simulated_accuracies, simulated_sweep


def test_tables_without_rows_are_left_out(evidence: Evidence, results: SweepResults) -> None:
    names = [exhibit.name for exhibit in exhibits_of([evidence], None)]
    assert names == ["headline", "selection", "differences", "training", "groups", "axes", "clusters"]
    without = SweepResults(results.name, results.table, results.states)
    assert "clusters" not in [exhibit.name for exhibit in exhibits_of([gather(without)], None)]


def test_the_comparison_of_optimizers_has_no_empty_columns(evidence: Evidence) -> None:
    records = [record for name in ("sgd", "sam") for record in simulated_accuracies(name, (90.0, 91.0))]
    comparison = compare_optimizers(tidy_table(records).drop_duplicates("trial_id"))
    assert comparison is not None
    exhibits = {exhibit.name: exhibit for exhibit in exhibits_of([evidence], comparison)}
    assert exhibits["table1"].note == comparison.note
    assert {"printed", "shown_at"} <= set(comparison.methods)
    assert not {"printed", "shown_at"} & set(exhibits["optimizers"].table)


def test_only_tables_of_several_sweeps_name_the_sweep(evidence: Evidence) -> None:
    def one_row(found: Evidence) -> pd.DataFrame:
        return pd.DataFrame({"n": [found.matrix.n]})

    assert list(over_sweeps([evidence], one_row).columns) == ["n"]
    assert over_sweeps([evidence, evidence], one_row).to_dict("list") == {"sweep": ["simulated"] * 2, "n": [30, 30]}


def test_tables_of_several_targets_name_the_target() -> None:
    both = [gather(simulated_sweep(), target) for target in (LOSS, ERROR)]
    headline = next(exhibit.table for exhibit in exhibits_of(both, None) if exhibit.name == "headline")
    assert set(headline["target"]) == {"gap", "gap in error"}
    assert "sweep" not in headline
