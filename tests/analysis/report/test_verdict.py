"""What the verdict says, where the truth is known, and where there is little to say."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from analysis.report.evidence import Evidence, gather
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
    assert lines["verdict"].startswith("Rényi sharpness α = 1.5 of fc predicts the gap")
    assert "Rényi sharpness α = 1.5 of fc" in lines["predict the gap"]
    assert lines["oppose the gap"].startswith("no column")
    assert "Rényi sharpness α = 2 of fc" in lines["choice of order"]
    assert "p < 0.001" in lines["choice of order"]


def test_a_measure_that_opposes_the_gap_is_reported_so() -> None:
    lines = said(simulated_sweep("opposed"))
    assert "opposes the gap" in lines["verdict"]
    assert "contrary to the paper" in lines["verdict"]


def test_no_association_is_no_verdict() -> None:
    lines = said(simulated_sweep("null", rng_seed=3))
    assert lines["verdict"].startswith("no measure's τ with the gap is significant")
    assert lines["predict the gap"].startswith("no column")


def test_what_only_reflects_the_training_loss_is_seen() -> None:
    lines = said(simulated_sweep("confounded", rng_seed=1))
    assert "given the training loss it is not significant" in lines["verdict"]
    assert re.match(r"τ\(training loss, gap\) = −0\.[5-9]", lines["how far trained"])
    assert "30 of 30 networks fit less than 99%" in lines["how far trained"]
    assert "remain significant" in lines["how far trained"]


def test_errors_are_reported_by_what_they_take_from_tau() -> None:
    results = simulated_sweep("planted")
    spread = results.table.groupby(["measure", "parameter", "layer"], dropna=False)["value"].transform("std")
    assert said(changed(results, stderr=0.01 * spread))["errors"] == "standard errors shrink every τ by less than 1%"
    assert "at most 2%" in said(changed(results, stderr=0.2 * spread))["errors"]
    assert said(changed(results, stderr=0.5 * spread))["errors"].endswith("by up to 13%")


def test_seeds_are_named_as_repeats() -> None:
    assert "90 trials measured, of 30 configurations" in said(simulated_sweep(seeds=(0, 1, 2)))["data"]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_few_trials_are_too_few(count: int) -> None:
    results = simulated_sweep()
    kept = results.table["trial_id"].isin([f"trial{index:03d}" for index in range(count)])
    lines = said(dataclasses.replace(results, table=results.table[kept]))
    assert lines["verdict"].startswith(f"none: {count} measured trial{'s' * (count != 1)};")
    assert "at least 5" in lines["verdict"]
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


def test_every_number_of_the_verdict_is_in_its_table(evidence: Evidence) -> None:
    lines = {line.topic: line.text for line in verdict(evidence)}
    significant = evidence.headline[evidence.headline["p_adjusted"] < 0.05]
    counts = [int(number) for number in re.findall(r"^(\d+) of", lines["predict the gap"])]
    assert counts == [int((significant["tau_b"] > 0).sum())]
    differences = evidence.differences.dropna(subset=["p_holm"])
    sure = differences[differences["p_holm"] < 0.05]["difference"]
    assert f"the higher τ in {(sure > 0).sum()} and the lower in {(sure < 0).sum()}" in lines["Rényi or not"]
    row = evidence.selection[evidence.selection["layer"] == "any"].iloc[0]
    assert f"{row['paper_tau']:+.2f}" in lines["choice of order"]
    best = significant.iloc[0]
    assert f"τ = {best['tau_b']:+.2f} [{best['ci_low']:+.2f}, {best['ci_high']:+.2f}]" in lines["verdict"]
