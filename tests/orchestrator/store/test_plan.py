"""A plan: what the store lacks of a grid."""

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.plan import Work, make_plan
from orchestrator.store.trial_store import TrialState, TrialStore
from tests.orchestrator.made_up import fail, finish, outcome
from trainables.trial.specs import TrialSpec


def test_each_trial_is_in_the_part_of_the_work_that_its_state_asks_for(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    measured, trained, failed, pending = specs
    finish(store, [measured], config.sharpness)
    store.trial(trained.trial_id).write_trained(outcome())
    fail(store, failed)
    plan = make_plan(config)
    assert plan.specs == specs
    assert plan.counts == dict.fromkeys(
        (TrialState.MEASURED, TrialState.TRAINED, TrialState.FAILED, TrialState.PENDING), 1
    )
    assert (plan.work.to_train, plan.work.to_measure, plan.failed) == ([pending], [trained], [failed])
    only = plan.work.only([trained.trial_id])
    assert (only.to_train, only.to_measure) == ([], [trained])


def test_a_finished_sweep_has_no_work_and_no_cost(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    finish(store, specs, config.sharpness)
    plan = make_plan(config)
    assert plan.work == Work()
    assert plan.failed == []
    assert plan.cost is not None
    assert plan.cost.train_seconds + plan.cost.measure_seconds == 0
