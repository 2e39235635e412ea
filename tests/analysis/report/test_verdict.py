"""What the verdict says, where the truth is known, and where there is little to say."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from analysis.report.evidence import gather
from analysis.report.verdict import verdict
from analysis.results.sweep import SweepResults
from tests.analysis.simulated import simulated_sweep


def said(results: SweepResults) -> dict[str, str]:
    lines = verdict(gather(results))
    assert len(lines) <= 10
    assert all("nan" not in line.text for line in lines)
    return {line.topic: line.text for line in lines}


def changed(results: SweepResults, **columns: Any) -> SweepResults:
    return dataclasses.replace(results, table=results.table.assign(**columns))


def test_a_planted_association_is_found() -> None:
    lines = said(simulated_sweep("planted"))
    assert lines["verdict"].startswith("no single measure is best: 2 columns are tied, predicting the gap: Rényi")
    assert "1 beyond the training loss" in lines["verdict"]
    assert "Rényi sharpness α = 1.5 of fc" in lines["predict the gap"]
    assert lines["oppose the gap"].startswith("no column")
    assert "Rényi sharpness α = 2 of fc" in lines["choice of order"]
    assert "p < 0.001" in lines["choice of order"]


def test_a_measure_that_opposes_the_gap_is_reported_so() -> None:
    lines = said(simulated_sweep("opposed"))
    assert "opposing the gap: Rényi sharpness α = 1.5 of fc" in lines["verdict"]
    assert "contrary to the paper" in lines["verdict"]


def test_no_association_is_no_verdict() -> None:
    lines = said(simulated_sweep("null", rng_seed=3))
    assert lines["verdict"].startswith("nothing significant: no measure's τ with the gap over 10 columns")
    assert lines["predict the gap"].startswith("no column")


def test_what_only_reflects_the_training_loss_is_seen() -> None:
    lines = said(simulated_sweep("confounded", rng_seed=1))
    assert "beyond the training loss" not in lines["verdict"].replace("not shown beyond", "").replace("none beyond", "")
    assert re.match(r"τ\(training loss, gap\) = −0\.[5-9]", lines["how far trained"])
    assert "30 of 30 networks fit less than 99%" in lines["how far trained"]
    assert re.search(r"of \d+ significant columns, \d+ (not shown beyond|inseparable)", lines["how far trained"])


def test_errors_are_reported_by_what_they_take_from_tau() -> None:
    results = simulated_sweep("planted")
    spread = results.table.groupby(["measure", "parameter", "layer"], dropna=False)["value"].transform("std")
    assert said(changed(results, stderr=0.01 * spread))["errors"] == "standard errors shrink every τ by less than 1%"
    assert "at most 2%" in said(changed(results, stderr=0.2 * spread))["errors"]
    assert said(changed(results, stderr=0.5 * spread))["errors"].endswith("by up to 13%")


def test_seeds_are_named_as_repeats() -> None:
    assert "90 trials measured, of 30 configurations" in said(simulated_sweep(seeds=(0, 1, 2)))["data"]


@pytest.mark.parametrize("count", [0, 1, 4, 9])
def test_few_trials_are_too_few(count: int) -> None:
    results = simulated_sweep()
    kept = results.table["trial_id"].isin([f"trial{index:03d}" for index in range(count)])
    lines = said(dataclasses.replace(results, table=results.table[kept]))
    assert lines["verdict"].startswith(f"too little to conclude: {count} configuration{'s' * (count != 1)} with a gap;")
    assert lines["verdict"].endswith("at least 15, an interval 10")
    assert set(lines) == {"verdict", "data"}
    assert lines["data"].startswith(f"{count} trials measured")


def test_trials_that_failed_are_counted_with_their_commonest_reason() -> None:
    failures = {f"t{index}": "DivergedError: the training loss became infinite" for index in range(3)} | {
        "t9": "OSError"
    }
    results = dataclasses.replace(
        simulated_sweep(), states={"measured": 0, "failed": 4, "pending": 2}, failures=failures
    )
    lines = said(dataclasses.replace(results, table=results.table.iloc[:0]))
    assert lines["data"].startswith("0 trials measured, 4 failed, 2 pending")
    assert "3 failed with: DivergedError" in lines["data"]


def test_a_missing_and_a_constant_measure_are_named() -> None:
    results = simulated_sweep()
    table = results.table
    value = table["value"].where(table["measure"] != "trace", np.nan).where(table["measure"] != "sam", 1.0)
    data = said(changed(results, value=value))["data"]
    assert "no value in any trial: Hessian trace of conv, fc, all layers" in data
    assert "the same value in every trial: SAM sharpness of all layers" in data


def test_a_measure_missing_here_and_there_is_named() -> None:
    results = simulated_sweep()
    hole = (results.table["trial_id"] == "trial003") & (results.table["layer"] == "conv.weight")
    data = said(changed(results, value=results.table["value"].mask(hole)))["data"]
    assert "values missing in some trials: Rényi sharpness of conv; Hessian trace of conv" in data


def test_equal_gaps_are_ties() -> None:
    results = simulated_sweep()
    rounded = said(changed(results, gap_loss=results.table["gap_loss"].round(2)))
    assert re.search(r"\d+ gap values repeat others \(ties\)", rounded["data"])
    constant = said(changed(results, gap_loss=0.1))
    assert constant["verdict"] == "none: all trials have the same gap, 0.1"


def test_with_ten_configurations_there_are_intervals_and_no_claims() -> None:
    results = simulated_sweep()
    kept = results.table["trial_id"].isin([f"trial{index:03d}" for index in range(12)])
    lines = said(dataclasses.replace(results, table=results.table[kept]))
    assert re.fullmatch(
        r"too little to conclude: 12 configurations with a gap; a claim takes at least 15, and about \d+ for a τ of "
        r"±0.\d\d, the strongest here, to be significant among 10 columns",
        lines["verdict"],
    )
    assert set(lines) == {"verdict", "data", "intervals", "errors"}


def by_optimizer(within: float, shift: float, opposed: bool = False) -> SweepResults:
    """One measure that follows the gap within each optimizer, or opposes it in one, and is shifted between them."""
    results = simulated_sweep("null", seeds=(0, 1), rng_seed=5)
    table = results.table
    adam = (table["optimizer"] == "adam").to_numpy()
    rng = np.random.default_rng(0)
    gap = table["gap_loss"].to_numpy() + 0.2 * adam
    signal = (table["gap_loss"] - 0.1) / 0.03 * np.where(adam & opposed, -1, 1)
    chosen = ((table["measure"] == "trace") & (table["layer"] == "all")).to_numpy()
    value = np.where(chosen, within * signal + 0.3 * rng.normal(size=len(table)) - shift * adam, table["value"])
    return changed(results, gap_loss=gap, value=value)


def test_a_measure_that_holds_within_optimizers_is_judged_within_them() -> None:
    lines = said(by_optimizer(1.0, 9.0))
    assert lines["verdict"].startswith(
        "Hessian trace of all layers predicts the gap best within each optimizer: τ = +0"
    )
    assert re.search(
        r"over all trials it is −0\.\d\d, whose sign is that of a contrast between groups", lines["verdict"]
    )
    assert "within each optimizer" in lines["predict the gap"]
    assert "the pooled sign is the contrast's in 1" in lines["axis by axis"]


def test_a_sign_that_depends_on_the_optimizer_is_said_to() -> None:
    lines = said(by_optimizer(1.0, 0.0, opposed=True))
    assert re.search(
        r"the sign of .*Hessian trace of all layers depends on the optimizer: adam −0.*sgd \+0", lines["verdict"]
    )
    assert "best" not in lines["verdict"]


def test_what_leads_all_others_is_best() -> None:
    results = simulated_sweep("null", seeds=(0, 1, 2), rng_seed=2)
    chosen = (results.table["measure"] == "trace") & (results.table["layer"] == "all")
    value = results.table["value"].where(~chosen, results.table["gap_loss"] ** 3)
    lines = said(changed(results, value=value))
    assert lines["verdict"].startswith("Hessian trace of all layers predicts the gap best: τ = +1.00")
    assert "each of 9 other columns is weaker (paired p ≤ 0.025)" in lines["verdict"]
    assert "Rényi sharpness is not significant on any layer" in lines["verdict"]


def test_a_null_by_configurations_is_named() -> None:
    results = simulated_sweep()
    lines = said(dataclasses.replace(results, table=results.table[results.table["trial_id"] != "trial004"]))
    assert "p exchanges whole configurations, since 1 of 30 configurations of the grid are missing" in lines["verdict"]
