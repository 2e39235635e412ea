"""The in-process executor: every step's result is in the store before its event."""

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.events import EpochsDone, TrialFailed, TrialMeasured, TrialStarted, TrialTrained
from orchestrator.executors.inline import InlineExecutor
from orchestrator.store.plan import Work, make_plan
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.trial.specs import TrialSpec


def test_trials_end_one_after_another_with_their_results_in_the_store(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    good = specs[0]
    content = good.model_dump()
    bad = TrialSpec.model_validate(content | {"optimizer": content["optimizer"] | {"learning_rate": 1e6}})
    states = []
    events = []
    for event in InlineExecutor(config, store).run(Work(to_train=[bad, good])):
        events.append(event)
        states.append(store.state(event.trial_id))  # type: ignore[union-attr]
    started, failed, *others = events
    assert isinstance(started, TrialStarted)
    assert failed == TrialFailed(bad.trial_id, started.node)
    assert states[1] is TrialState.FAILED
    assert [type(event) for event in others] == [TrialStarted, EpochsDone, EpochsDone, TrialTrained, TrialMeasured]
    assert states[-2:] == [TrialState.TRAINED, TrialState.MEASURED]
    assert make_plan(config).work.to_measure == []


def test_a_trial_that_is_trained_is_only_measured(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    executor = InlineExecutor(config, store)
    for _ in executor.run(Work(to_train=specs[:1])):
        pass
    other = config.model_copy(update={"sharpness": config.sharpness.model_copy(update={"measures": ("l2",)})})
    plan = make_plan(other)
    assert plan.work.to_measure == specs[:1]
    events = list(InlineExecutor(other, plan.store).run(Work(to_measure=plan.work.to_measure)))
    assert events == [TrialMeasured(specs[0].trial_id)]
