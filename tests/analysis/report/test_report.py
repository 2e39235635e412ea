import dataclasses
import io

import numpy as np
import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.report.report import PAGE_FILE, build_report
from analysis.results.sweep import SweepResults
from tests.analysis.simulated import LAYERS, simulated_sweep

FIGURES = ("tau_by_measure", "tau_over_orders", "gap_against_sharpness", "spectra")
COMMANDS = ("renyi run simulated", "renyi report simulated")
TABLES = ("headline", "selection", "differences", "training", "groups", "axes", "clusters", "table1", "optimizers")


def test_every_figure_and_table_is_a_file_and_every_figure_in_each_kind(
    results: SweepResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.report.figures.style.KINDS", ("png", "svg", "pdf"))
    report = build_report([results], COMMANDS)
    expected = {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg", "pdf", "csv")}
    expected |= {f"{name}.csv" for name in (*TABLES, "tau", "trials")}
    for kind, begins in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")):
        assert all(report.files[f"{name}.{kind}"].startswith(begins) for name in FIGURES)
    assert set(report.files) == expected | {"report.html", "verdict.md", "tables.tex"}


def test_several_sweeps_share_a_page_and_every_row_names_its_own() -> None:
    planted, idle = simulated_sweep(name="planted"), simulated_sweep("null", name="idle")
    report = build_report([planted, idle])
    assert set(report.lines) == {"planted", "idle"}
    for name in ("headline", "tau", "selection"):
        assert set(pd.read_csv(io.BytesIO(report.files[f"{name}.csv"]))["sweep"]) == {"planted", "idle"}
    assert {"gap_against_sharpness_planted.svg", "gap_against_sharpness_idle.svg"} <= set(report.files)
    assert report.note.count("## ") == 2
    with pytest.raises(AnalysisError, match="a different name for each"):
        build_report([planted, planted])
    with pytest.raises(AnalysisError, match="at least one sweep"):
        build_report([])


@pytest.mark.parametrize("count", [0, 1, 5])
def test_sweeps_with_few_trials_have_a_report_that_says_so(count: int) -> None:
    results = simulated_sweep(spectra=True)
    kept = results.table["trial_id"].isin([f"trial{index:03d}" for index in range(count)])
    report = build_report([dataclasses.replace(results, table=results.table[kept])])
    assert PAGE_FILE in report.files
    verdict = report.lines["simulated"][0].text
    assert verdict.startswith("too little to conclude")


def test_troubled_measures_have_a_report() -> None:
    results = simulated_sweep()
    table = results.table
    value = table["value"].where(table["measure"] != "trace", np.nan).where(table["measure"] != "sam", 1.0)
    troubled = table.assign(value=value, gap_loss=table["gap_loss"].round(2))
    page = build_report([dataclasses.replace(results, table=troubled)]).files[PAGE_FILE].decode()
    assert "no value in any trial: Hessian trace" in page
    assert "the same value in every trial: SAM sharpness" in page
    assert "(ties)" in page


def test_only_one_layer_or_measure_is_enough() -> None:
    results = simulated_sweep()
    for column, kept in (("layer", LAYERS[1]), ("measure", "trace")):
        table = results.table[results.table[column] == kept]
        assert PAGE_FILE in build_report([dataclasses.replace(results, table=table)]).files
