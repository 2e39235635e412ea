"""What describes a trial's run in MLflow."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.tracking.description import code_tags, origin_tags, trial_note, trial_tags
from tests.orchestrator.made_up import outcome
from trainables.trial.code import commit
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import LocalFolder


def test_axes_that_vary_are_tags(config: SweepConfig, specs: list[TrialSpec]) -> None:
    tags = trial_tags(specs[0], config)
    assert tags == {
        "optimizer": "sgd",
        "model": "digits_cnn",
        "dataset": "digits",
        "axis.learning_rate": "0.05",
        "axis.weight_decay": "0.0001",
    }


def test_seeds_and_coupled_axes_are_tags_and_what_does_not_vary_is_none(sweep_file: Callable[..., Path]) -> None:
    coupled = "coupled: {learning_rate: [0.05, 0.1], batch_size: [32, 64]}\n    momentum: 0.5"
    path = sweep_file(("learning_rate: [0.05, 0.1]", coupled), ("name: small", "name: small\nseeds: [3, 4]"))
    config = load(str(path))
    axes = {name for name in trial_tags(expand(config)[0], config) if name.startswith("axis.")}
    assert axes == {"axis.learning_rate", "axis.batch_size", "axis.weight_decay", "axis.seed"}


def test_a_run_says_where_it_comes_from(config: SweepConfig) -> None:
    tags = origin_tags(config)
    assert tags["renyi.sweep"] == "small"
    assert tags["mlflow.source.name"] == f"renyi run {config.typed}"
    assert code_tags().items() <= tags.items()
    assert tags["renyi.version"]


def test_a_note_has_the_numbers_and_the_command_that_measures_again(specs: list[TrialSpec], tmp_path: Path) -> None:
    note = trial_note(specs[0], outcome(), LocalFolder(tmp_path))
    assert specs[0].label in note
    assert "| loss | 0.1000 | 0.3000 | 0.2000 |" in note
    assert f"`renyi measure {tmp_path}/last.pt`" in note


def test_neither_git_nor_a_name_for_the_user_is_needed(config: SweepConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # a container's user, who is not in /etc/passwd
    monkeypatch.setenv("PATH", "/nowhere")
    code_tags.cache_clear()
    commit.cache_clear()
    tags = origin_tags(config)
    assert tags["mlflow.user"] == "54321"
    assert "mlflow.source.git.commit" not in tags
    code_tags.cache_clear()
    commit.cache_clear()
