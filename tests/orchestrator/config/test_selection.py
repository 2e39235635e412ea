"""Conditions on parameters, against the same conditions written in Python."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.config.expand import expand
from orchestrator.config.grid import parse_grid
from orchestrator.config.selection import select
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from trainables.trial.specs import TrialSpec


@pytest.fixture(scope="module")
def trials() -> list[TrialSpec]:
    grid, problems = parse_grid(
        [
            {
                "optimizer": "sgd",
                "learning_rate": [0.01, 0.1, 1e-5],
                "gradient_clip": [None, 1.0],
                "augment": [True, False],
            },
            {"optimizer": "sam", "learning_rate": 0.1, "rho": [0.05, 0.5], "bn_second_pass": ["freeze", "update"]},
            {"optimizer": "rsam", "learning_rate": 0.1, "max_eps_norm": [None, 2], "model": ["digits_cnn", "my.net"]},
        ]
    )
    assert not problems
    return expand(
        SweepConfig.model_validate(
            {
                "name": "s",
                "data": {"dataset": "digits"},
                "model": "digits_cnn",
                "training": {"epochs": 2, "batch_size": 64},
                "grid": grid,
                "seeds": (0, 1),
            }
        )
    )


def of(spec: TrialSpec, name: str) -> Any:
    return getattr(spec.optimizer, name, None)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("optimizer=sgd", lambda spec: spec.optimizer.name == "sgd"),
        ("optimizer = sgd | sam", lambda spec: spec.optimizer.name in ("sgd", "sam")),
        ("optimizer!=sgd|sam", lambda spec: spec.optimizer.name == "rsam"),
        ("learning_rate>0.01", lambda spec: of(spec, "learning_rate") > 0.01),
        ("learning_rate>=0.01,learning_rate<1e-1", lambda spec: 0.01 <= of(spec, "learning_rate") < 0.1),
        ("learning_rate=1e-1", lambda spec: of(spec, "learning_rate") == 0.1),
        ("learning_rate==.1|0.00001", lambda spec: of(spec, "learning_rate") in (0.1, 1e-5)),
        ("gradient_clip=null", lambda spec: spec.training.gradient_clip is None),
        ("gradient_clip!=null", lambda spec: spec.training.gradient_clip == 1),
        ("gradient_clip=null|1", lambda spec: True),
        ("gradient_clip<5", lambda spec: spec.training.gradient_clip == 1),
        ("rho!=0.05", lambda spec: of(spec, "rho") != 0.05),
        ("rho=null", lambda spec: of(spec, "rho") is None),
        ("rho<=0.5", lambda spec: of(spec, "rho") is not None and of(spec, "rho") <= 0.5),
        (
            "max_eps_norm=~,optimizer=rsam",
            lambda spec: spec.optimizer.name == "rsam" and of(spec, "max_eps_norm") is None,
        ),
        ("augment=true", lambda spec: spec.training.augment),
        ("augment=False", lambda spec: not spec.training.augment),
        ("seed=1", lambda spec: spec.seed == 1),
        ("seed<1,model=my.net", lambda spec: spec.seed == 0 and spec.model == "my.net"),
        ("bn_second_pass=update", lambda spec: of(spec, "bn_second_pass") == "update"),
        ("dataset=digits,epochs=2,batch_size<=64", lambda spec: True),
    ],
)
def test_trials_are_chosen_by_their_parameters(
    trials: list[TrialSpec], wanted: str, expected: Callable[[TrialSpec], bool]
) -> None:
    chosen = select(trials, wanted)
    assert chosen
    assert [spec.trial_id for spec in chosen] == [spec.trial_id for spec in trials if expected(spec)]


@pytest.mark.parametrize("value", ["0.05", "null", "0.05|0.5"])
def test_a_condition_and_its_opposite_share_the_trials_out(trials: list[TrialSpec], value: str) -> None:
    both = select(trials, f"rho={value}") + select(trials, f"rho!={value}")
    assert sorted(spec.trial_id for spec in both) == sorted(spec.trial_id for spec in trials)


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ("learning_rat>0.01", "no trial has a parameter 'learning_rat'; did you mean learning_rate?"),
        ("optimizer=sgdd", "no trial has optimizer 'sgdd'; did you mean sgd?"),
        ("optimizer=sgd|smam", "no trial has optimizer 'smam'; did you mean sam?"),
        ("optimizer!=adm", "no trial has optimizer 'adm'; "),
        ("learning_rate=0.3", "no trial has learning_rate '0.3'; "),
        ("gradient_clip=2", "no trial has gradient_clip '2'; known: 1, null"),
        ("augment=1", "no trial has augment '1'; known: true, false"),
        ("seed=true", "no trial has seed 'true'; known: 0, 1"),
        ("learning_rate=null", "no trial has learning_rate 'null'"),
        ("optimizer<sgd", "optimizer is no number, so < does not apply"),
        ("augment>0", "augment is no number"),
        ("learning_rate>fast", "learning_rate>: 'fast' is not a number"),
        ("learning_rate>nan", "'nan' is not a number"),
        ("learning_rate>0.01|0.1", "'0.01|0.1' is not a number"),
        ("learning_rate", "'learning_rate' is not of the form PARAMETER=VALUE"),
        ("", "'' is not of the form"),
        ("optimizer=sgd,", "'' is not of the form"),
        ("optimizer=", "no trial has optimizer ''"),
        ("optimizer=sgd,rho>0", "no trial fulfils 'optimizer=sgd,rho>0'"),
    ],
)
def test_what_no_trial_can_fulfil_is_an_error(trials: list[TrialSpec], wanted: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        select(trials, wanted)
    assert problem in str(caught.value)
    assert str(caught.value).startswith("--only: ")


def test_all_mistakes_are_reported_at_once(trials: list[TrialSpec]) -> None:
    with pytest.raises(UsageError) as caught:
        select(trials, "optimzer=sgd,learning_rate>x,seed=0")
    assert len(caught.value.problems) == 2
