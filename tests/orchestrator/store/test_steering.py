"""Which trials a command works on, in a store where some are done and some have failed."""

import pytest

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.plan import make_plan
from orchestrator.store.steering import Steering
from orchestrator.store.trial_store import TrialState, TrialStore
from tests.orchestrator.made_up import fail, finish, outcome
from trainables.trial.specs import TrialSpec


@pytest.fixture
def ids(config: SweepConfig, specs: list[TrialSpec], store: TrialStore) -> list[str]:
    """Of four trials the first is trained, the second measured, the third has failed, the last is pending."""
    store.trial(specs[0].trial_id).write_trained(outcome())
    finish(store, specs[1:2], config.sharpness)
    fail(store, specs[2])
    return [spec.trial_id for spec in specs]


def work(config: SweepConfig, steering: Steering, among: list[str] | None = None) -> list[str]:
    part = steering.part(make_plan(config), among)
    assert set(part.states) == {spec.trial_id for spec in part.specs}
    return [spec.trial_id for spec in part.specs if spec in part.work.trials]


def test_by_default_a_command_is_about_all_trials(config: SweepConfig, ids: list[str]) -> None:
    plan = make_plan(config)
    assert Steering().part(plan) is Steering().about(plan) is plan
    assert plan.part_of is None


def test_a_limit_takes_the_first_missing_trials_in_the_order_of_the_grid(config: SweepConfig, ids: list[str]) -> None:
    assert work(config, Steering(limit=1)) == [ids[0]]  # trained, so that measuring is missing
    assert work(config, Steering(limit=2)) == work(config, Steering(limit=9)) == [ids[0], ids[3]]
    assert work(config, Steering(trials=ids[1:], limit=1)) == [ids[3]]
    assert work(config, Steering(limit=1), among=[ids[1], ids[3]]) == [ids[3]]
    assert work(config, Steering(trials=[ids[1]], limit=3)) == []


def test_a_part_has_its_own_states_cost_and_failures(config: SweepConfig, ids: list[str]) -> None:
    plan = make_plan(config)
    part = Steering(trials=ids[2:]).about(plan)
    assert part.states == {ids[2]: TrialState.FAILED, ids[3]: TrialState.PENDING}
    assert part.part_of == 4
    assert [spec.trial_id for spec in part.failed] == [ids[2]]
    nothing = plan.part([])
    assert nothing.specs == []
    assert nothing.part([]).part_of == 4
    assert part.cost is not None
    assert plan.cost is not None
    assert part.cost.recorded  # from the timings of a trial that is not part of it
    assert 0 < part.cost.train_seconds <= plan.cost.train_seconds
    assert part.cost.measure_seconds < plan.cost.measure_seconds
