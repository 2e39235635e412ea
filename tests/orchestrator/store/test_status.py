"""The status of a sweep, from files that a driver left or keeps up to date."""

import json

import pytest

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.events import TrialMeasured, TrialStarted, TrialTrained
from orchestrator.store.activity import ActivityFile
from orchestrator.store.lease import Lease
from orchestrator.store.status import read_status
from orchestrator.store.trial_store import TrialStore
from tests.orchestrator.made_up import SHIFTED, fail, finish
from trainables.trial.specs import TrialSpec


def test_a_sweep_that_never_ran_has_no_driver_and_a_time_by_its_cost(config: SweepConfig) -> None:
    status = read_status(config)
    assert (status.driver, status.activity, status.running, status.done) == (None, None, False, False)
    assert status.plan.cost is not None
    assert status.seconds_left == status.plan.cost.wall_seconds


def test_a_driver_at_work_is_shown_with_its_nodes_and_its_rate(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    with Lease(store.folder, "renyi run small"), ActivityFile(store.folder) as activity:
        finish(store, specs[:1], config.sharpness)
        for event in (TrialStarted("a", "one"), TrialTrained("a", "one"), TrialMeasured("a")):
            activity.record(event)
        activity.__exit__()  # writes
        status = read_status(config)
        assert status.running
        assert status.activity is not None
        taken = status.activity.updated - status.activity.started
        assert status.seconds_left == pytest.approx(3 * taken)
    assert not read_status(config).running


def test_programs_get_every_state_and_the_reason_of_each_failure(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    finish(store, specs[1:], config.sharpness)
    fail(store, specs[0], "ValueError: no")
    status = read_status(config)
    assert status.done
    found = json.loads(json.dumps(status.to_json()))
    assert found["states"] == {"pending": 0, "training": 0, "trained": 0, "measured": 3, "failed": 1}
    assert found["failures"] == {specs[0].trial_id: {"stage": "training", "reason": "ValueError: no"}}
    assert (found["sweep"], found["trials"], found["storage"]) == ("small", 4, config.folder)


def test_missing_shifts_are_work_without_a_known_time(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    finish(store, specs, config.sharpness)
    store.trial(specs[0].trial_id).write_shift("noise_3", SHIFTED)
    assert read_status(config).done
    status = read_status(config.model_copy(update={"shifts": ("noise_3", "blur_2")}))
    assert (status.done, status.seconds_left) == (False, None)
    assert status.to_json()["shifts"] == {"noise_3": 1, "blur_2": 0}
