import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

import renyi
from analysis.report.judge import Judgement
from analysis.report.statements import MOST_PAIRED

N = 3 * MOST_PAIRED


def models() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"lr": rng.choice([0.1, 0.2, 0.3], N), "wd": rng.choice([0.0, 1.0, 2.0], N)})
    frame["gap"] = rng.normal(size=N)
    return frame.assign(sharp=frame["gap"] + rng.normal(size=N), flat=-frame["gap"], noise=rng.normal(size=N))


@pytest.fixture(scope="module")
def judged() -> Judgement:
    return renyi.judge(models(), axes=["lr", "wd"], gap="gap")


def test_tau_is_exact_and_nothing_is_claimed_that_needs_a_test(judged: Judgement) -> None:
    frame, table = models(), judged.table.set_index("measure")
    for name in ("sharp", "flat", "noise"):
        assert table.loc[name, "tau_b"] == pytest.approx(kendalltau(frame[name], frame["gap"]).statistic)
    assert table["p_value"].isna().all()
    topics = {line.topic: line.text for line in judged.lines["table"]}
    assert topics["verdict"].startswith("no measure is called best or significant")
    assert topics["interval above 0"].startswith("1 of the columns: sharp")
    assert topics["interval below 0"].startswith("1 of the columns: flat −1.00")
    assert topics["not resolved"].startswith("1 of the columns: noise")


def test_the_scatter_figure_says_that_it_shows_a_draw(judged: Judgement) -> None:
    page = judged.report.files["report.html"].decode()
    assert f"a point for each of 2000 networks, drawn at random from {N}" in page
    assert "95 % jackknife interval" in page
    assert "trials.csv" not in judged.report.files


def test_a_draw_gets_the_full_verdict_and_says_so() -> None:
    text = str(renyi.judge(models(), axes=["lr", "wd"], gap="gap", measures=["sharp"], sample=60))
    assert f"60 of {N} models, drawn at random with seed 0" in text
    assert "60 models" in text
