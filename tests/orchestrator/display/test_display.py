"""What the terminal shows of a sweep, from a store with made-up results."""

import pytest

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import MAX_FAILURES_SHOWN, SweepProgress, show_failures, show_plan, show_status, show_work
from orchestrator.events import EpochsDone, NodeAvoided, TrialFailed, TrialLost, TrialMeasured, TrialTrained
from orchestrator.store.plan import make_plan
from orchestrator.store.status import read_status
from orchestrator.store.trial_store import TrialStore
from tests.orchestrator.made_up import SHIFTED, fail, finish, outcome
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


def test_progress_has_a_line_for_each_step_that_ends(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan(config)
    finish(store, specs[:1], config.sharpness)
    fail(store, specs[1], "ValueError: no")
    done, failed = specs[0].trial_id, specs[1].trial_id
    with SweepProgress(plan) as progress:
        progress.update(EpochsDone(done, outcome().history))
        progress.update(TrialTrained(done, "one"))
        progress.update(TrialMeasured(done))
        progress.update(TrialFailed(failed, "one"))
        progress.update(TrialLost(specs[2].trial_id, ""))
        progress.update(NodeAvoided("one", [failed], "ValueError: no"))
        progress.update(TrialLost(specs[3].trial_id, "two"))
    lines = capsys.readouterr().out.splitlines()
    assert "1/4 trained, 0/4 measured   trained" in lines[0]
    assert "gap 0.200" in lines[0]
    assert "1/4 trained, 1/4 measured  measured" in lines[1]
    assert "1 failed    failed" in lines[2]
    assert "ValueError: no" in lines[2]
    assert "a node died" in lines[3]
    assert "node one gets no more work" in lines[4]
    assert "failed" not in lines[-1]  # what is tried again no longer counts
    assert "two died" in lines[-1]


def test_shifts_are_shown_as_what_is_asked_for_to_do_and_done(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(store, specs[1:], config.sharpness)
    asking = config.model_copy(update={"shifts": ("noise_3", "blur_2")})
    show_plan(make_plan(asking))
    shown = capsys.readouterr().out
    assert "shifts of the test images: noise_3, blur_2" in shown
    assert "; 8 evaluations of the test set under shifts" in shown
    finish(store, specs[:1], config.sharpness)
    before = make_plan(asking)
    show_status(read_status(asking))
    assert "never started; to do: 8 evaluations of the test set under shifts" in capsys.readouterr().out
    with SweepProgress(before) as progress:
        for shift in asking.shifts:
            store.trial(specs[0].trial_id).write_shift(shift, SHIFTED)
        progress.update(TrialMeasured(specs[0].trial_id))
    assert "4/4 trained, 4/4 measured   shifted  " in capsys.readouterr().out
    show_work(before, make_plan(asking))
    assert "0 trained, 0 measured, 2 evaluated under shifts; 4 trials in all" in capsys.readouterr().out
