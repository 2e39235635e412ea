import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import renyi
from analysis.report.judge import Judgement
from analysis.report.report import build_report
from analysis.report.verdict import VerdictLine
from analysis.results.reading import TableError
from tests.analysis.simulated import simulated_sweep


def models(seeds: int = 1) -> pd.DataFrame:
    """Networks in which `sharp` follows the gap, `flat` opposes it and `noise` does neither."""
    rng = np.random.default_rng(0)
    grid = itertools.product(("sgd", "adam"), (0.01, 0.03, 0.1), (0.0, 1e-4, 1e-3), range(seeds))
    frame = pd.DataFrame(grid, columns=["optimizer", "lr", "wd", "seed"])
    frame["gap"] = rng.normal(size=len(frame))
    frame["sharp"], frame["flat"] = (sign * frame["gap"] + 0.2 * rng.normal(size=len(frame)) for sign in (1, -1))
    return frame.assign(noise=rng.normal(size=len(frame)), ce=rng.random(len(frame)), other=-frame["gap"])


@pytest.fixture(scope="module")
def judged() -> Judgement:
    return renyi.judge(
        models(2), axes=["lr", "wd", "optimizer", "seed"], gap="gap", training_loss="ce", measures=["sharp", "noise"]
    )


def test_the_verdict_is_about_the_table_and_says_nothing_of_what_it_lacks(judged: Judgement) -> None:
    text = str(judged)
    assert "36 models, of 18 configurations" in text
    assert "sharp" in text
    assert not any(word in text for word in ("Rényi", "trial", "layer", "test − training"))


def test_the_table_of_taus_is_that_of_the_columns(judged: Judgement) -> None:
    from scipy.stats import kendalltau

    frame, table = models(2), judged.table.set_index("measure")
    for name in ("sharp", "noise"):
        assert table.loc[name, "tau_b"] == pytest.approx(kendalltau(frame[name], frame["gap"]).statistic)


def test_a_reversed_column_has_the_opposite_tau() -> None:
    def tau(*flip: str) -> dict[str, float]:
        found = renyi.judge(models(), axes="lr", gap="gap", measures=["flat"], flip=flip).table
        return dict(zip(found["measure"], found["tau_b"], strict=True))

    assert tau("flat") == {"−flat": pytest.approx(-tau()["flat"])}


def test_each_gap_has_its_verdict_and_its_rows() -> None:
    judged = renyi.judge(models(), axes=["lr", "wd", "optimizer"], gap=["gap", "other"], measures=["sharp", "flat"])
    assert list(judged.lines) == ["table: gap", "table: other"]
    taus = judged.table.set_index(["target", "measure"])["tau_b"]
    assert taus["gap", "sharp"] == pytest.approx(-taus["other", "sharp"])


def test_missing_values_and_ties_are_counted() -> None:
    frame = models()
    frame["sharp"] = frame["sharp"].where(~frame.index.isin([1, 2]))
    gaps = frame["gap"].tolist()
    frame["gap"] = [*gaps[:3], np.nan, gaps[4], gaps[4], *gaps[6:]]
    text = str(renyi.judge(frame, axes=["lr", "wd", "optimizer"], gap="gap", measures=["sharp"]))
    assert "17 models" in text
    assert "1 left out: no finite " in text
    assert "1 gap values repeat others (ties)" in text
    assert "values missing in some" in text


def test_everything_is_written_into_a_folder(judged: Judgement, tmp_path: Path) -> None:
    page = judged.write(tmp_path / "new" / "folder")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "ranked by Kendall's τ with the gap." in text
    assert {"headline.csv", "verdict.md", "tau.csv", "tau_by_measure.svg"} <= {
        path.name for path in page.parent.iterdir()
    }


def test_a_bad_frame_is_refused_with_every_problem() -> None:
    with pytest.raises(TableError) as caught:
        renyi.judge(models(), axes=["lr", "wdd"], gap="optimizer")
    assert len(caught.value.problems) == 2


def test_the_table_of_a_sweep_s_own_report_has_the_sweep_s_verdict(tmp_path: Path) -> None:
    report = build_report([simulated_sweep()])
    (tmp_path / "trials.csv").write_bytes(report.files["trials.csv"])
    frame = pd.read_csv(tmp_path / "trials.csv")
    measured = [name for name in frame.columns if "/" in name]
    judged = renyi.judge(
        frame,
        axes=["optimizer", "learning_rate", "batch_size", "weight_decay"],
        gap="gap_loss",
        training_loss="train_loss",
        measures=measured,
    )
    ours, theirs = (_topics(found["simulated"]) for found in (report.lines, {"simulated": judged.lines["table"]}))
    for topic in ("predict the gap", "oppose the gap", "not resolved"):
        assert ours[topic] == theirs[topic]


def _topics(lines: list[VerdictLine]) -> dict[str, str]:
    return {line.topic: line.text for line in lines}
