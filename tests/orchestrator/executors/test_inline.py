"""The in-process executor: every step's result is in the store before its event."""

import re

import pytest

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.events import EpochsDone, TrialFailed, TrialMeasured, TrialStarted, TrialTrained
from orchestrator.executors.inline import InlineExecutor
from orchestrator.store.plan import Work, make_plan
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.processes import limits
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


HERE = "tests.orchestrator.odd_networks"
FATES = {
    "hangs": r"no sign of life for 0.3 s \(training.silence_limit\), in .*odd_networks.py, line \d+, in forward",
    "leaves": r"its process was lost 4 times: its process ended itself with exit code 3; last output: no weights",
    "gives_up": r"SystemExit: no weights at /data$",
    "interrupts": r"KeyboardInterrupt: stopped by a hook$",
    "crashes": r"its process was lost 4 times: its process was killed \(SIGKILL\), as the system does when memory runs",
    "takes_all_memory": r"RuntimeError: .*can't allocate memory",
    "floods": r"it printed more than 3 MB; it was ended; last output: x+",
}


def test_a_network_that_hangs_ends_its_process_or_floods_fails_alone_with_its_cause(
    config: SweepConfig,
    specs: list[TrialSpec],
    store: TrialStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(limits, "MOST_OUTPUT", 3 << 20)
    content = specs[0].model_dump()
    short = {"training": content["training"] | {"silence_limit": 0.3}}
    odd = [
        TrialSpec.model_validate(content | {"model": f"{HERE}.{name}"} | (short if name == "hangs" else {}))
        for name in FATES
    ]
    good = [TrialSpec.model_validate(content | {"model": f"{HERE}.chatters"}), specs[0]]
    events = list(InlineExecutor(config, store).run(Work(to_train=[*odd[:3], good[0], *odd[3:], good[1]])))
    assert [event.trial_id for event in events if isinstance(event, TrialFailed)] == [spec.trial_id for spec in odd]
    assert [event.trial_id for event in events if isinstance(event, TrialMeasured)] == [spec.trial_id for spec in good]
    for spec, reason in zip(odd, FATES.values(), strict=True):
        failure = store.failure(spec.trial_id)
        assert failure.stage == "training"
        assert re.match(reason, failure.reason), failure.reason
        assert "\n" not in failure.reason
    shown = capsys.readouterr().err
    assert "no weights at /data" in shown
    assert "the rest of its output is not shown" in shown
    assert len(shown) < 5 << 16


@pytest.mark.parametrize(
    ("measure", "silence", "reason"),
    [
        (
            "hanging_measure",
            0.3,
            r"the task everything: no sign of life for 0.3 s \(sharpness.silence_limit\), in ",
        ),
        ("exiting_measure", None, r"SystemExit: no licence"),
        (
            "leaving_measure",
            None,
            r"the task everything ended its process 3 times: its process ended itself with exit",
        ),
    ],
)
def test_a_measure_that_hangs_or_ends_its_process_fails_alone(
    config: SweepConfig, specs: list[TrialSpec], measure: str, silence: float | None, reason: str
) -> None:
    sharpness = config.sharpness.model_copy(update={"measures": (f"{HERE}.{measure}",), "silence_limit": silence})
    config = config.model_copy(update={"sharpness": sharpness})
    store = TrialStore(config.folder, sharpness.measurement_id)
    events = list(InlineExecutor(config, store).run(Work(to_train=specs[:1])))
    assert isinstance(events[-1], TrialFailed)
    failure = store.failure(specs[0].trial_id)
    assert failure.stage == "measuring"
    assert re.match(reason, failure.reason), failure.reason


@pytest.mark.parametrize(("section", "stage"), [("training", "training"), ("sharpness", "measuring")])
def test_what_takes_longer_than_its_time_limit_is_ended(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, section: str, stage: str
) -> None:
    limited = getattr(config, section).model_copy(update={"time_limit": 1e-9})
    config = config.model_copy(update={section: limited})
    spec = specs[0].model_copy(update={"training": specs[0].training.model_copy(update={"time_limit": 1e-9})})
    assert spec.trial_id == specs[0].trial_id
    assert config.sharpness.measurement_id == store.measurement_id
    list(InlineExecutor(config, store).run(Work(to_train=[spec if section == "training" else specs[0]])))
    failure = store.failure(specs[0].trial_id)
    assert failure.stage == stage
    assert f"it took longer than {section}.time_limit (1e-09 s)" in failure.reason
