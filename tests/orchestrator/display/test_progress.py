"""The progress of a sweep in the terminal."""

import io

import pytest
from rich.console import Console

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import SweepProgress, show_plan, show_status, show_work
from orchestrator.display.progress import bars
from orchestrator.events import EpochsDone, NodeAvoided, TrialFailed, TrialLost, TrialMeasured, TrialTrained
from orchestrator.store.plan import make_plan
from orchestrator.store.status import read_status
from orchestrator.store.trial_store import TrialStore
from tests.orchestrator.made_up import SHIFTED, fail, finish, outcome
from trainables.trial.specs import TrialSpec


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


@pytest.mark.parametrize("width", [80, 60, 200])
def test_count_and_clock_are_there_at_any_width_and_the_note_is_cut(width: int) -> None:
    shown = bars(3)
    terminal = Console(width=width, file=io.StringIO(), force_terminal=False)
    note = "sgd lr=0.025 bs=16 wd=0.0001 seed=0 a_long_network"
    shown.add_task("measured", total=120, completed=17, note=note)
    terminal.print(shown.make_tasks_table(shown.tasks))
    assert isinstance(terminal.file, io.StringIO)
    (line,) = terminal.file.getvalue().splitlines()
    assert "measured" in line
    assert "17/120" in line
    assert "0:00:00" in line or "-:--:--" in line
    assert len(line) <= width
