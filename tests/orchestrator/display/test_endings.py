"""What the terminal says at the end of a sweep."""

import pytest

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import MAX_FAILURES_SHOWN, show_failures, show_work
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import TrialStore
from tests.orchestrator.made_up import fail, finish, outcome
from trainables.trial.specs import TrialSpec


def test_failures_are_shown_once_with_reason_and_remedy_and_not_all_of_many(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(store, specs[0], "ValueError: [no]")
    show_failures(make_plan(config))
    shown = capsys.readouterr().out
    assert shown.count("in training: ValueError: [no]") == 1
    assert f"renyi retry {config.typed}" in shown
    many = config.model_copy(update={"seeds": tuple(range(MAX_FAILURES_SHOWN))})
    plan = make_plan(many)
    for spec in plan.specs:
        fail(store, spec, "ValueError: no")
    show_failures(make_plan(many))
    shown = capsys.readouterr().out
    assert shown.count("in training: ") == MAX_FAILURES_SHOWN
    assert f"and {len(plan.specs) - MAX_FAILURES_SHOWN} more" in shown


def test_work_is_the_difference_of_two_plans(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, capsys: pytest.CaptureFixture[str]
) -> None:
    before = make_plan(config)
    finish(store, specs[:2], config.sharpness)
    store.trial(specs[2].trial_id).write_trained(outcome())
    show_work(before, make_plan(config))
    assert "3 trained, 2 measured; 4 trials in all" in capsys.readouterr().out
    after = make_plan(config)
    fail(store, specs[0])
    show_work(after, make_plan(config))  # what failed since is no negative work
    assert "0 trained, 0 measured; 4 trials in all" in capsys.readouterr().out
