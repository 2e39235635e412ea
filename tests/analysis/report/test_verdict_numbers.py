"""Every number of every line of the verdict is found again in the tables, on simulated sweeps of odd shapes."""

import itertools
import os
import re

import numpy as np
import pandas as pd
import pytest

from analysis.report.evidence import Evidence, gather
from analysis.report.statements import LEVEL
from analysis.report.verdict import verdict
from analysis.report.wording import column_name
from analysis.results.sweep import SweepResults
from tests.analysis.simulated import Truth, simulated_sweep

SWEEPS = int(os.environ.get("RENYI_ODD_SWEEPS", "8"))  # 200 take two minutes
NUMBER = re.compile(r"(?<![\w.])[+−±-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def odd_sweep(seed: int) -> SweepResults:
    """A sweep with missing trials, seeds, values and optimizers, ties, constants, and any truth."""
    rng = np.random.default_rng(seed)
    truths: tuple[Truth, ...] = ("planted", "opposed", "confounded", "null")
    truth = truths[seed % 4]
    results = simulated_sweep(truth, seeds=range(1 + seed % 3), rng_seed=seed, spectra=seed % 5 == 0)
    table = results.table
    trials = np.array(sorted(table["trial_id"].unique()))
    keep = rng.choice([1.0, 1.0, 0.95, 0.6, 0.4])
    kept = trials[rng.random(len(trials)) < keep]
    table = table[table["trial_id"].isin(kept)]
    if seed % 7 == 0:
        table = table[table["optimizer"] == "sgd"]
    value = table["value"].mask(rng.random(len(table)) < rng.choice([0.0, 0.0, 0.1, 0.5]))
    if seed % 6 == 1:
        value = value.where(table["measure"] != "trace", 1.0)
    if seed % 6 == 2:
        value = value.round(0)
    gap = table["gap_loss"].round(2) if seed % 4 == 3 else table["gap_loss"]
    adam = (table["optimizer"] == "adam").to_numpy() & (seed % 3 == 0)
    gap, value = gap + 0.3 * adam, value - 9 * adam * (table["measure"] == "trace")
    table = table.assign(value=value, gap_loss=gap)
    return SweepResults(results.name, table, {"measured": len(kept)}, {}, results.spectra)


def printed(value: float, text: str) -> bool:
    """Whether a text shows a value, rounded to the text's digits."""
    number = float(text.replace("−", "-").replace("±", "").replace("+", ""))
    digits = len(text.split(".")[1]) if "." in text else 0
    return bool(abs(abs(value) - abs(number)) <= 0.5001 * 10**-digits) and (
        number == 0 or "±" in text or value * number > 0
    )


def numbers_of(tables: list[pd.DataFrame]) -> np.ndarray:
    columns = [table.select_dtypes(include=[np.number]).to_numpy(dtype=float).ravel() for table in tables]
    everything = np.concatenate(columns)
    finite: np.ndarray = everything[np.isfinite(everything)]
    return finite


def check_columns(evidence: Evidence, text: str) -> None:
    """Each `name τ [low, high]` shows that column's numbers, over all trials or within the groups of an axis."""
    named = re.findall(r"([+−]\d\.\d\d) \[([+−]\d\.\d\d), ([+−]\d\.\d\d)\]", text)
    pooled = evidence.headline[["tau_b", "ci_low", "ci_high"]].to_numpy()
    sources = [pooled, evidence.selection[["nested_tau", "ci_low", "ci_high"]].to_numpy(dtype=float)]
    sources.append(evidence.training[["given_tau", "given_low", "given_high"]].to_numpy())
    one = evidence.gap_with_training
    sources.append(np.array([[one.tau_b, one.ci_low, one.ci_high]]))
    if len(evidence.groups):
        sources.append(evidence.groups[["within_tau", "ci_low", "ci_high"]].to_numpy())
    known = np.concatenate(sources)
    for triple in named:
        assert any(all(map(printed, row, triple)) for row in known), (triple, text)


def check_counts(evidence: Evidence, lines: dict[str, str]) -> None:
    """The numbers of columns are those of the table that the line rests on."""
    within = "within each" in lines["verdict"]
    rows = (
        evidence.groups.rename(columns={"within_tau": "tau"})
        if within
        else evidence.headline.rename(columns={"tau_b": "tau"})
    )
    significant = rows[(rows["p_adjusted"] < LEVEL) & (rows["num_configurations"] >= 15)]
    for topic, sign in (("predict the gap", 1), ("oppose the gap", -1)):
        if topic in lines and not lines[topic].startswith("no column"):
            count, total = map(int, re.findall(r"\d+", lines[topic])[:2])
            assert (count, total) == ((np.sign(significant["tau"]) == sign).sum(), len(rows))
        elif topic in lines:
            assert not (np.sign(significant["tau"]) == sign).any()
    if found := re.search(r"(\d+) columns are tied", lines["verdict"]):
        enough = rows[rows["num_configurations"] >= 15]
        strongest = significant.loc[significant.index.isin(enough.index)]["tau"].abs().idxmax()
        tied = enough[(enough["p_as_strong"] > 0.025) | (enough.index == strongest)]
        assert int(found[1]) == len(tied)
        measures = {
            column_name(*key).split(" of ")[0]
            for key in tied[["measure", "parameter", "layer"]].itertuples(index=False)
        }
        assert all(measure in lines["verdict"] for measure in measures)
    if "nothing significant" in lines["verdict"]:
        assert significant.empty
        assert (
            f" {((rows['num_configurations'] >= 15) & rows['tau'].notna()).sum()} columns (adjusted" in lines["verdict"]
        )
    if found := re.search(
        r"higher τ in (\d+)(?: \((\d+) against .*? (\d+) against .*?\))? and the lower in (\d+)",
        lines.get("Rényi or not", ""),
    ):
        sure = evidence.differences[evidence.differences["p_holm"] < LEVEL]
        above = sure[sure["difference"] > 0]
        assert (int(found[1]), int(found[4])) == (len(above), (sure["difference"] < 0).sum())
        if found[2]:
            assert (int(found[2]), int(found[3])) == ((above["other_tau"] > 0).sum(), (above["other_tau"] < 0).sum())


@pytest.mark.parametrize("seed", range(SWEEPS))
def test_every_number_of_the_verdict_is_in_the_tables(seed: int) -> None:
    evidence = gather(odd_sweep(seed))
    lines = {line.topic: line.text for line in verdict(evidence)}
    check_counts(evidence, lines)
    for text in lines.values():
        assert "nan" not in text
        check_columns(evidence, text)
    matrix = evidence.matrix
    known = numbers_of(
        [
            evidence.tau,
            evidence.selection,
            evidence.differences,
            evidence.axes,
            evidence.training,
            evidence.groups,
            evidence.clusters,
            matrix.trials,
        ]
    )
    limits = [one.significant_from for one in evidence.comparisons]
    known = np.concatenate([known, limits, [evidence.association.strong_enough(matrix.headline)]])
    for topic in ("verdict", "choice of order", "intervals"):
        for text in NUMBER.findall(lines.get(topic, "").replace(r"p < 0.001", "")):
            if "." in text and text not in ("0.05", "0.025"):
                assert any(printed(value, text) or printed(-value, text) for value in known), (text, lines[topic])


def test_the_reader_of_numbers_can_fail() -> None:
    assert printed(0.5349, "+0.53")
    assert printed(-0.5351, "−0.54")
    assert not printed(0.55, "+0.53")
    assert not printed(0.53, "−0.53")
    with pytest.raises(AssertionError):
        check_columns(gather(simulated_sweep()), "Hessian trace of fc +0.99 [+0.98, +1.00]")
    assert len(list(itertools.islice(range(SWEEPS), 3))) == 3
