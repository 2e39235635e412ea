import dataclasses

from analysis.report.evidence import Evidence, gather
from analysis.results.sweep import SweepResults
from analysis.results.targets import ERROR
from analysis.statistics import kendall_tau
from tests.analysis.simulated import simulated_sweep


def test_the_headline_holds_the_declared_columns_strongest_first(evidence: Evidence) -> None:
    assert len(evidence.headline) == evidence.matrix.headline.sum()
    assert evidence.headline["headline"].all()
    assert list(evidence.headline["tau_b"].abs()) == sorted(evidence.headline["tau_b"].abs(), reverse=True)


def test_every_table_is_about_the_same_trials_and_columns(evidence: Evidence) -> None:
    assert len(evidence.tau) == len(evidence.matrix.keys)
    assert len(evidence.training) == 2 * len(evidence.axes) == 2 * len(evidence.headline)
    assert len(evidence.groups) == len(evidence.headline)
    assert evidence.association.permuted.shape[1] == len(evidence.matrix.keys)
    tau = kendall_tau(evidence.matrix.trials["train_loss"], evidence.matrix.gap)
    assert evidence.gap_with_training.tau_b == tau.tau_b


def test_states_and_failures_are_those_of_the_sweep(results: SweepResults) -> None:
    none = dataclasses.replace(results, table=results.table.iloc[:0], states={"failed": 1}, failures={"t": "OSError"})
    evidence = gather(none)
    assert (evidence.states, evidence.failures) == ({"failed": 1}, {"t": "OSError"})
    assert evidence.matrix.n == 0


def test_another_gap_can_be_ranked() -> None:
    assert gather(simulated_sweep(), ERROR).matrix.gap_name == "gap_error"
