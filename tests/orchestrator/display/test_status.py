"""The status of a sweep in the terminal: running, ended in each way, never started."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from analysis.measures import MEASURES
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import show_status
from orchestrator.events import EpochsDone, MeasuringStarted, TrialStarted
from orchestrator.store.activity import Activity
from orchestrator.store.lease import Driver, Lease, current_driver
from orchestrator.store.status import read_status
from orchestrator.store.trial_store import TrialStore
from tests.orchestrator.made_up import fail, finish, outcome
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import open_folder


@pytest.fixture
def shown(config: SweepConfig, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the status says, with some of what it is made of replaced."""

    def show(**changes: object) -> str:
        show_status(replace(read_status(config), **changes))  # type: ignore[arg-type]
        return capsys.readouterr().out

    return show


@pytest.fixture
def driver(config: SweepConfig) -> Driver:
    with Lease(open_folder(config.folder), "renyi run sweep.yaml") as lease:
        lease.how = "interrupted"
    found = current_driver(open_folder(config.folder))
    assert found is not None
    return found


def test_an_ended_sweep_says_how_and_when(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, driver: Driver, shown: Callable[..., str]
) -> None:
    assert "ended 20" in shown()
    assert "0 s ago: interrupted; `renyi run sweep.yaml`" in shown()
    assert "heartbeat" not in shown()
    assert shown().count("about") == 1  # one estimate
    finish(store, specs[1:], config.sharpness)
    fail(store, specs[0])
    assert "ago: 1 trials failed; " in shown(driver=replace(driver, how="finished"))
    assert "it was killed" in shown(driver=replace(driver, ended=False, pid=2**22 + 1))
    assert "ago: stopped by an error: OSError: no; " in shown(
        driver=replace(driver, how="stopped by an error: OSError: no")
    )


def test_a_running_sweep_names_its_trials_and_has_one_estimate(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, driver: Driver, shown: Callable[..., str]
) -> None:
    finish(store, specs[:1], config.sharpness)
    store.trial(specs[1].trial_id).write_trained(outcome())
    activity = Activity(started=time.time() - 100, measured=1)
    for event in (
        TrialStarted(specs[2].trial_id, "gpu1"),
        EpochsDone(specs[2].trial_id, outcome().history),
        MeasuringStarted(specs[1].trial_id, "gpu1", "all_layers"),
        MeasuringStarted(specs[0].trial_id, "gpu1", "sam_n_0.05"),
        MeasuringStarted(specs[0].trial_id, "gpu1", "trace"),
    ):
        activity.update(event)
    text = shown(driver=replace(driver, ended=False, heartbeat=time.time(), since=time.time() - 120), activity=activity)
    assert "running since 20" in text
    assert "to do: 2 to train and measure, 1 to measure; about 5 min left" in text
    assert text.count("about") == 1
    assert f"training {specs[2].label} (epoch 2)" in text
    assert f"{specs[1].label}: the Hessian of all layers" in text
    assert f"{specs[0].label}: {MEASURES['sam_n'].title} at ρ = 0.05" in text
    assert not any(spec.trial_id in text for spec in specs)


def test_a_sweep_that_was_never_started_says_so(shown: Callable[..., str]) -> None:
    assert "never started; to do: training" in shown()
