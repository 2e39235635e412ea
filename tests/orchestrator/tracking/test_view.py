"""How an experiment opens; in a real browser in tests/system."""

import json

from mlflow import MlflowClient

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.tracking.experiment import open_experiment, show_trials
from orchestrator.tracking.view import columns_of


def test_the_columns_are_outcomes_measures_of_all_layers_and_what_varies(config: SweepConfig) -> None:
    assert columns_of(config) == [
        "metrics.`generalization/gap_loss`",
        "metrics.`generalization/train_loss`",
        "metrics.`generalization/test_accuracy`",
        "metrics.`renyi_0.5/all`",
        "metrics.`renyi_1.5/all`",
        "metrics.`renyi_gauss_newton_0.5/all`",
        "metrics.`renyi_gauss_newton_1.5/all`",
        "params.`learning_rate`",
        "params.`weight_decay`",
        "tags.`renyi.state`",
    ]


def test_a_view_is_there_for_sweeps_that_have_none_yet_and_a_description_of_somebodys_is_kept(
    config: SweepConfig,
) -> None:
    key = open_experiment(config).experiment_id
    client = MlflowClient(config.tracking_uri)
    tags = client.get_experiment(key).tags
    assert "small" in tags["mlflow.note.content"]
    client.set_experiment_tag(key, "mlflow.note.content", "mine")
    client.delete_experiment_tag(key, "mlflow.sharedViewState.trials-by-gap")
    assert show_trials(config).endswith("&viewStateShareKey=trials-by-gap")
    tags = client.get_experiment(key).tags
    assert tags["mlflow.note.content"] == "mine"
    assert json.loads(tags["mlflow.sharedViewState.trials-by-gap"])["orderByAsc"] is False
    noted = config.model_copy(update={"notes": "for the paper"})
    client.delete_experiment_tag(key, "mlflow.note.content")
    open_experiment(noted)
    assert "for the paper" in client.get_experiment(key).tags["mlflow.note.content"]
    open_experiment(config)
    assert "for the paper" not in client.get_experiment(key).tags["mlflow.note.content"]
