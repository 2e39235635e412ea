"""The plan of a sweep in the terminal."""

import pytest

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import show_plan
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import TrialStore
from tests.orchestrator.made_up import finish
from trainables.trial.specs import TrialSpec


def test_a_plan_shows_grid_states_and_addresses(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(store, specs[:1], config.sharpness)
    show_plan(make_plan(config))
    shown = capsys.readouterr().out
    for part in (
        "small: 4 trials of digits_cnn on digits",
        "sgd × learning_rate in [0.05, 0.1] × weight_decay in [0.0001, 0.001]",
        "3 pending, 1 measured",
        config.folder,
        config.tracking_uri,
    ):
        assert part in shown
