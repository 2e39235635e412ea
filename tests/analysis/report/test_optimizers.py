"""Table 1's layout from simulated results whose means, errors and choices are known."""

import dataclasses
import io
import math

import pandas as pd
import pytest

from analysis.report.optimizers import Score, compare_optimizers
from analysis.report.report import PAGE_FILE, build_report
from analysis.results.sweep import SweepResults, TrialRecord, tidy_table
from tests.analysis.simulated import simulated_accuracies, simulated_sweep

# Test accuracy in percent of each method and seed on ResNet-20, and on WRN-28-10, where RSAM has no trial.
RESNET = {"rsam": (93.0, 94.0), "sgd": (92.0, 92.0), "adam": (91.0, 91.0), "sam": (93.0, 93.0)}
WIDE = {"sgd": (96.0,), "sam": (97.0,)}


def printed_sweep() -> SweepResults:
    records = [
        record
        for model, accuracies in (("resnet20", RESNET), ("wide_resnet28_10", WIDE))
        for optimizer, values in accuracies.items()
        for record in simulated_accuracies(optimizer, values, dataset="cifar10", model=model)
    ]
    return SweepResults("table1", tidy_table(records), {"measured": len(records)})


def tuned(optimizer: str, **by_rho: tuple[tuple[float, ...], tuple[float, ...]]) -> list[TrialRecord]:
    """Trials of one method: at each rho, test and validation accuracies of the seeds."""
    return [
        record
        for rho, (test, validation) in by_rho.items()
        for record in simulated_accuracies(optimizer, test, validation, rho=float(rho.removeprefix("rho_")) / 100)
    ]


def test_the_layout_is_that_of_table_1() -> None:
    comparison = compare_optimizers(printed_sweep().table.drop_duplicates("trial_id"))
    assert comparison is not None
    table = comparison.table
    assert list(table.columns) == ["dataset", "model", "sgd", "sam", "rsam", "adam", "seeds"]
    small, wide = table.to_dict("records")
    assert small["rsam"] == Score(93.5, 0.5, True, "93.69±0.12")
    assert small["sgd"] == Score(92.0, 0.0, False, "92.68±0.25")
    assert small["adam"] == Score(91.0, 0.0, False, "")
    assert wide["rsam"] is None
    assert (wide["sam"].best, wide["sgd"].best) == (False, False)  # a seed each
    assert math.isnan(wide["sam"].stderr)
    assert (small["seeds"], wide["seeds"]) == ("2", "1")


def test_the_lead_is_paired_over_seeds() -> None:
    comparison = compare_optimizers(printed_sweep().table.drop_duplicates("trial_id"))
    assert comparison is not None
    methods = comparison.methods.set_index(["model", "optimizer"])
    # RSAM less SAM, seed by seed: 0 and 1.
    assert methods.loc[("resnet20", "sam"), "behind"] == pytest.approx(0.5)
    assert methods.loc[("resnet20", "sam"), "behind_stderr"] == pytest.approx(0.5)
    assert methods["behind"].isna().tolist() == [False, False, True, False, False, True]
    assert "cifar10 resnet20: RSAM leads SAM by 0.50 ± 0.50 points" in comparison.note
    assert "wide_resnet28_10: SAM leads" not in comparison.note  # a seed each
    assert "one configuration" in comparison.note
    assert comparison.repeated
    alone = comparison.methods[comparison.methods["model"] != "resnet20"]
    assert not dataclasses.replace(comparison, methods=alone).repeated


def test_validation_accuracy_chooses_and_test_accuracy_does_not() -> None:
    records = tuned("sam", rho_5=((95.0, 95.0), (90.0, 94.0)), rho_10=((97.0, 99.0), (91.0, 91.0)))
    records += tuned("rsam", rho_65=((94.0, 94.0), (93.0, 93.0)), rho_80=((99.0,), (99.0,)))  # a seed has failed
    comparison = compare_optimizers(tidy_table(records).drop_duplicates("trial_id"))
    assert comparison is not None
    sam, rsam = comparison.methods.to_dict("records")
    assert (sam["test_accuracy"], sam["shown_at"], sam["configurations"]) == (pytest.approx(95.0), "rho 0.05", 2)
    assert sam["validation_accuracy"] == pytest.approx(92.0)
    assert (rsam["test_accuracy"], rsam["shown_at"], rsam["seeds"]) == (pytest.approx(94.0), "rho 0.65", 2)
    assert sam["best_epoch"] == pytest.approx(95.5)
    assert "Of 2 configurations" in comparison.note
    assert "best mean validation accuracy" in comparison.note
    assert "unequally" not in comparison.note


def test_unequal_tuning_is_reported() -> None:
    records = tuned("sam", rho_5=((95.0,), (90.0,)), rho_10=((97.0,), (91.0,))) + tuned("rsam", rho_65=((9.0,), (9.0,)))
    comparison = compare_optimizers(tidy_table(records).drop_duplicates("trial_id"))
    assert comparison is not None
    assert "tuned unequally" in comparison.note


def test_without_validation_images_nothing_is_selected() -> None:
    trials = simulated_sweep(seeds=(0, 1)).table.drop_duplicates("trial_id")
    comparison = compare_optimizers(trials)
    assert comparison is not None
    sgd = comparison.methods.set_index("optimizer").loc["sgd"]
    by_seed = 100 * trials[trials["optimizer"] == "sgd"].groupby("seed")["test_accuracy"].mean()
    assert sgd["test_accuracy"] == pytest.approx(by_seed.mean())
    assert sgd["stderr"] == pytest.approx(by_seed.sem())
    assert (sgd["configurations"], sgd["shown_at"]) == (15, "")
    assert "nothing was selected" in comparison.note
    assert "all 15 configurations" in comparison.note


def test_images_held_out_make_another_task() -> None:
    held_out = [record for name in ("sgd", "sam") for record in simulated_accuracies(name, (90.0,), validation=500)]
    whole = [record for name in ("sgd", "sam") for record in simulated_accuracies(name, (95.0,))]
    comparison = compare_optimizers(tidy_table([*held_out, *whole]).drop_duplicates("trial_id"))
    assert comparison is not None
    scores = {held_out: str(score) for held_out, score in comparison.table.set_index("validation")["sam"].items()}
    assert scores.pop(500) == "90.00"
    assert list(scores.values()) == ["95.00"]


def test_one_optimizer_is_no_comparison() -> None:
    assert compare_optimizers(tidy_table(simulated_accuracies("sgd", (90.0, 91.0)))) is None
    assert compare_optimizers(tidy_table([])) is None


def test_every_form_of_the_report_has_the_table() -> None:
    report = build_report([printed_sweep()])
    row = (
        "| cifar10 | resnet20 | 92.00 ± 0.00 (92.68±0.25) | 93.00 ± 0.00 (93.44±0.07) | **93.50 ± 0.50** (93.69±0.12) |"
    )
    assert row in report.files["verdict.md"].decode()
    assert r"\textbf{93.50 $\pm$ 0.50} (93.69$\pm$0.12)" in report.files["tables.tex"].decode()
    assert "<strong>93.50 ± 0.50</strong> (93.69±0.12)</td>" in report.files[PAGE_FILE].decode()
    table = pd.read_csv(io.BytesIO(report.files["table1.csv"]))
    assert list(table["rsam"].fillna("")) == ["93.50 ± 0.50", ""]
    assert "printed" in pd.read_csv(io.BytesIO(report.files["optimizers.csv"]))


def test_methods_of_several_sweeps_share_a_row() -> None:
    sweeps = [
        SweepResults(name, tidy_table(simulated_accuracies(name, (accuracy, accuracy))), {"measured": 2})
        for name, accuracy in (("sgd", 95.0), ("sam", 96.0))
    ]
    comparison = build_report(sweeps).comparison
    assert comparison is not None
    assert [str(comparison.table[name][0]) for name in ("sgd", "sam")] == ["95.00 ± 0.00", "96.00 ± 0.00"]
