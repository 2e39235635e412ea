import dataclasses
import json
import math

import numpy as np
import pytest

from analysis.report.evidence import Evidence
from analysis.report.page.explorer import explorer
from tests.analysis.report.page.study import STUDY


def test_it_holds_every_declared_value_with_all_digits(evidence: Evidence) -> None:
    text = explorer("simulated", evidence, STUDY, {"trial000": "#/experiments/1/runs/ab"})
    assert text is not None
    content = json.loads(text)
    matrix = evidence.matrix
    assert content["gap"] == list(matrix.gap)
    for column, index in zip(content["columns"], np.flatnonzero(matrix.headline), strict=True):
        assert column["values"] == list(matrix.values[:, index])
        assert column["tau"] == evidence.association.taus.tau_b[index]
    assert [axis["name"] for axis in content["axes"]] == ["optimizer", "learning_rate", "batch_size", "weight_decay"]
    assert content["runs"][:2] == ["#/experiments/1/runs/ab", ""]
    assert content["labels"][:2] == ["sgd lr=0.01", "trial001"]
    assert content["serve"] == "renyi ui simulated"
    assert len(set(content["shown"])) == len(content["shown"]) == 3  # of three measures


def test_what_is_missing_is_null_and_no_text_ends_the_script(evidence: Evidence) -> None:
    values = evidence.matrix.values.copy()
    values[0] = math.nan
    trials = evidence.matrix.trials.assign(optimizer="</script>")
    matrix = dataclasses.replace(evidence.matrix, values=values, trials=trials)
    text = explorer("x", dataclasses.replace(evidence, matrix=matrix), None, {})
    assert text is not None
    assert "</script" not in text
    content = json.loads(text)
    assert content["columns"][0]["values"][0] is None
    assert content["labels"][0] == "trial000"


def test_of_nothing_and_of_very_many_there_is_none(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = evidence.matrix
    nothing = dataclasses.replace(matrix, trials=matrix.trials[:0], values=matrix.values[:0])
    assert explorer("x", dataclasses.replace(evidence, matrix=nothing), None, {}) is None
    monkeypatch.setattr("analysis.report.page.explorer.MOST_EXPLORED", 29)
    assert explorer("x", evidence, None, {}) is None
