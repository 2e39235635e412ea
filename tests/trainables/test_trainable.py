"""The trainable in a real Tune on a local Ray: what it reports, and what it leaves in the trial's folder."""

from pathlib import Path
from typing import Any

import pytest
from ray import tune

from tests.local_ray import local_ray
from trainables.errors import STORAGE_ERROR
from trainables.trainable import trainable
from trainables.trial.folder import TrialFolder
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import open_folder

pytestmark = pytest.mark.ray
SPEC = TrialSpec.model_validate(
    {
        "data": {"dataset": "digits"},
        "model": "digits_cnn",
        "training": {"epochs": 3, "batch_size": 500},
        "optimizer": {"name": "sgd", "learning_rate": 0.05},
    }
)


class Reports(tune.Callback):
    """Keeps what the trials report, by folder."""

    def __init__(self) -> None:
        self.found: dict[str, list[dict[str, Any]]] = {}

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        self.found.setdefault(trial.config["folder"], []).append(result)


def test_it_names_its_node_trains_to_the_end_and_reports_a_storage_that_fails(tmp_path: Path) -> None:
    """A storage that fails is reported, not raised: Tune would repeat the trial."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    bad.write_text("a file where a folder should be")
    fixed = {"trial": SPEC.model_dump(mode="json"), "threads": 1, "system_metrics": False}
    reports = Reports()
    with local_ray() as node:
        results = tune.Tuner(
            tune.with_resources(trainable, {"CPU": 1}),
            param_space={**fixed, "folder": tune.grid_search([str(good), str(bad)])},
            run_config=tune.RunConfig(storage_path=str(tmp_path / "tune"), callbacks=[reports], verbose=0),
        ).fit()
    assert not results.errors
    assert {reported[0]["node"] for reported in reports.found.values()} == {node}
    trained = TrialFolder(open_folder(str(good))).read_trained()
    assert [epoch.epoch for epoch in trained.history] == [0, 1, 2]
    assert all("epochs" not in report or len(report["epochs"]) < 3 for report in reports.found[str(good)])
    assert f"{bad} can't be read: " in reports.found[str(bad)][-1][STORAGE_ERROR]
