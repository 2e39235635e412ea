"""A plan: what the store lacks of a grid."""

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.plan import Work, make_plan
from orchestrator.store.trial_store import TrialState, TrialStore
from tests.orchestrator.made_up import SHIFTED, fail, finish, outcome
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


def test_a_shift_that_is_asked_for_later_is_work_for_measured_trials_and_for_the_others_part_of_theirs(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    asking = config.model_copy(update={"shifts": ("noise_3", "blur_2")})
    whole, half, trained, pending = specs
    finish(store, [whole, half], config.sharpness)
    store.trial(trained.trial_id).write_trained(outcome())
    for trial, shift in ((whole, "noise_3"), (whole, "blur_2"), (half, "blur_2")):
        store.trial(trial.trial_id).write_shift(shift, SHIFTED)
    plan = make_plan(asking)
    assert plan.work == Work([pending], [trained], [half])
    assert plan.missing_shifts == {
        whole.trial_id: (),
        half.trial_id: ("noise_3",),
        trained.trial_id: asking.shifts,
        pending.trial_id: asking.shifts,
    }
    assert plan.num_missing_shifts == 5
    assert plan.work.only([half.trial_id]).trials == [half]
    assert plan.store.measurement_id == store.measurement_id
    fail(store, pending)
    assert make_plan(asking).num_missing_shifts == 3  # what failed waits to be retried
    assert make_plan(config).num_missing_shifts == 0
