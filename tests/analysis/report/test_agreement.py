from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.report.agreement import Ranking, agreement
from analysis.report.evidence import gather
from analysis.report.report import build_report
from analysis.report.sweep_matrix import SweepMatrix
from analysis.results.targets import ERROR, LOSS, TEST_ERROR, target_of
from tests.analysis.simulated import simulated_sweep


def ranking(target: object, taus: list[float], p_values: list[float]) -> Ranking:
    table = pd.DataFrame({"measure": ["a", "b", "c", "d"], "parameter": np.nan, "layer": ""})
    return Ranking(target, table.assign(tau_b=taus, p_adjusted=p_values))  # type: ignore[arg-type]


def test_columns_that_differ_in_sign_or_significance_are_named() -> None:
    first = ranking(LOSS, [0.5, 0.5, 0.1, 0.2], [0.01, 0.01, 0.9, 0.9])
    other = ranking(ERROR, [0.4, -0.5, 0.6, -0.1], [0.02, 0.01, 0.01, 0.9])
    line = agreement(first, [other])
    assert line is not None
    assert line.text == (
        "with the gap in error (test − training error) in its place, significance and the sign of what is significant "
        "are the same in 2 of 4 columns; the sign differs for b; significant with the gap in error alone: c"
    )
    assert agreement(first, [first]) is not None
    assert agreement(first, []) is None


def test_columns_without_a_tau_against_one_target_are_not_compared() -> None:
    first = ranking(LOSS, [np.nan] * 4, [np.nan] * 4)
    assert agreement(first, [ranking(ERROR, [0.5] * 4, [0.01] * 4)]) is None


def test_a_ranking_by_itself_has_the_tau_and_p_of_the_whole_evidence() -> None:
    sweep = simulated_sweep()
    whole = gather(sweep, ERROR).headline
    alone = Ranking.computed(SweepMatrix.of(sweep.table, sweep.name, ERROR)).table
    for name in ("tau_b", "p_adjusted"):
        np.testing.assert_allclose(alone[name], whole[name])


def test_a_report_compares_the_gap_in_error_unasked_and_other_targets_on_request() -> None:
    report = build_report([simulated_sweep(rng_seed=3)], targets=(TEST_ERROR, LOSS))
    first, second = report.lines.values()
    for title in ("gap (test − training loss)", "gap in error (test − training error)"):
        assert f"with the {title} in its place" in first[-1].text
    assert "other targets" not in [line.topic for line in second]


def test_a_gap_under_a_shift_is_compared_and_trials_without_it_are_counted() -> None:
    sweep = simulated_sweep(rng_seed=3)
    gap = sweep.table["gap_loss"].where(~sweep.table["trial_id"].isin(["trial004", "trial011"]))
    shifted = replace(sweep, table=sweep.table.assign(gap_loss_under_noise_3=2 * gap + 0.1))
    report = build_report([shifted], targets=(LOSS, target_of("shift:noise_3")))
    plain, under = report.lines.values()
    assert "with the gap under noise_3 (test loss on shifted images − training loss) in its place" in plain[-1].text
    data = " ".join(line.text for line in under)
    assert "28 trials measured" in data
    assert "2 left out: no finite gap under noise_3" in data
    taus = report.table.pivot_table("tau_b", ["measure", "parameter", "layer"], "target", dropna=False)
    assert (taus["gap"] - taus["gap under noise_3"]).abs().max() < 0.3  # the same order of all but two trials
