from pathlib import Path

import pytest

from orchestrator.events import (
    MeasuringEnded,
    MeasuringStarted,
    NodeAvoided,
    TrialFailed,
    TrialMeasured,
    TrialStarted,
    TrialTrained,
)
from orchestrator.store import activity as module
from orchestrator.store.activity import Activity, ActivityFile, read_activity
from trainables.trial.storage import LocalFolder


def test_each_node_has_what_it_is_doing_and_what_it_has_done() -> None:
    activity = Activity()
    for event in (
        TrialStarted("a", "one"),
        TrialStarted("b", "two"),
        TrialTrained("a"),
        TrialFailed("b"),
        MeasuringStarted("a", "one", "layers"),
        MeasuringStarted("a", "two", "pac_bayes"),
        MeasuringEnded("a", "one", "layers", succeeded=True),
        TrialMeasured("c"),
    ):
        activity.update(event)
    one, two = activity.nodes["one"], activity.nodes["two"]
    assert (one.training, one.measuring, one.trained, one.measured) == ({}, [], 1, 1)
    assert (two.training, two.measuring, two.failed, two.measured) == ({}, ["a pac_bayes"], 1, 0)
    assert activity.measured == 1
    activity.update(NodeAvoided("two", ["a", "b"], "out of memory"))
    assert two.measuring == []
    assert two.avoided == "2 trials failed on it in a row, the last with: out of memory"


def test_a_trial_that_starts_again_elsewhere_is_on_one_node() -> None:
    activity = Activity()
    activity.update(TrialStarted("a", "one"))
    activity.update(TrialStarted("a", "two"))
    assert [list(activity.nodes[name].training) for name in ("one", "two")] == [[], ["a"]]


def test_the_file_shows_the_same_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_WRITES", -1)
    folder = LocalFolder(tmp_path)
    assert read_activity(folder) is None
    with ActivityFile(folder) as file:
        file.record(TrialStarted("a", "one"))
        file.record(MeasuringStarted("b", "one", "layers"))
        during = read_activity(folder)
    after = read_activity(folder)
    assert during is not None
    assert after is not None
    assert (during.nodes["one"].training, during.nodes["one"].measuring) == ({"a": 0}, ["b layers"])
    assert (after.nodes["one"].training, after.nodes["one"].measuring) == ({}, [])
