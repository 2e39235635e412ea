"""The code of trials beside the code that is here: told where it differs, and refused where it is the user's own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.store.code import changed_code, check_code, versions_of
from orchestrator.store.measurement import CODE, write_measured
from orchestrator.store.plan import make_plan
from orchestrator.store.results import stored_sweep
from orchestrator.store.trial_store import TrialStore
from tests.orchestrator.made_up import fail, measured, outcome
from trainables.trial.code import Code, code_of
from trainables.trial.specs import TrialSpec


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's modules."""
    (tmp_path / "my_nets.py").write_text("import my_layers\n")
    (tmp_path / "my_layers.py").write_text("width = 8\n")
    (tmp_path / "my_measures.py").write_text("def sharp(model, inputs, targets): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def config(storage: Path, sweep_file: Callable[..., Path], code: Path) -> SweepConfig:
    measures = ("measures: [renyi, renyi_gauss_newton, trace, lambda_max, l2]", "measures: [l2, my_measures.sharp]")
    return load(str(sweep_file(("model: digits_cnn", "model: my_nets.Net"), measures)))


def train(store: TrialStore, spec: TrialSpec, code: Code | None = None) -> None:
    trial = store.trial(spec.trial_id)
    trial.write_code(code or code_of([spec.model], spec.data))
    trial.write_trained(outcome())


def measure(store: TrialStore, spec: TrialSpec, config: SweepConfig) -> None:
    made = measured(config.sharpness.model_copy(update={"measures": ("l2",)}))
    record = {**made.record, CODE: code_of(config.sharpness.own_measures).to_json()}
    write_measured(store.measurement(spec.trial_id), replace(made, record=record), config.sharpness)


def said(config: SweepConfig) -> list[str]:
    return [str(each) for each in changed_code(make_plan(config))]


def test_code_that_is_as_it_was_is_no_news(config: SweepConfig, specs: list[TrialSpec], store: TrialStore) -> None:
    train(store, specs[0])
    measure(store, specs[0], config)
    plan = make_plan(config)
    assert said(config) == versions_of(plan) == []
    check_code(plan, plan)


def test_a_changed_network_is_refused_while_trials_are_missing(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, code: Path
) -> None:
    for spec in specs[:2]:
        train(store, spec)
    (code / "my_layers.py").write_text("width = 16\n")
    told = "my_nets.Net: trials made with other code than is here now: 2 (changed: my_layers)"
    assert said(config) == [told]
    plan = make_plan(config)
    with pytest.raises(UsageError) as refused:
        check_code(plan, plan)
    assert refused.value.problems[0] == told
    check_code(plan, plan.part([]))  # nothing is worked on
    for spec in specs[2:]:
        train(store, spec)
    for spec in specs:
        measure(store, spec, config)
    done = make_plan(config)
    check_code(done, done)  # nothing is missing
    (line,) = versions_of(done)
    assert line.startswith("trials of 2 versions of my_nets.Net: 2 of ")
    assert line in stored_sweep(done).remarks


def test_a_failed_trial_is_not_retried_with_changed_code(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, code: Path
) -> None:
    for spec in specs:
        train(store, spec)
        measure(store, spec, config)
    fail(store, specs[0])
    (code / "my_nets.py").write_text("import my_layers as layers\n")
    plan = make_plan(config)
    check_code(plan, plan)
    with pytest.raises(UsageError, match="changed: my_nets"):
        check_code(plan, plan, [specs[0].trial_id])


def test_a_changed_measure_is_refused_while_measurements_are_missing(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, code: Path
) -> None:
    train(store, specs[0])
    measure(store, specs[0], config)
    (code / "my_measures.py").write_text("def sharp(model, inputs, targets): return 1.0\n")
    told = "my_measures.sharp: trials made with other code than is here now: 1 (changed: my_measures)"
    assert said(config) == [told]
    plan = make_plan(config)
    with pytest.raises(UsageError, match=r"my_measures\.sharp"):
        check_code(plan, plan)
    check_code(plan, plan.part([specs[0].trial_id]))


def test_another_version_of_this_program_is_told_and_not_refused(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    train(store, specs[0])
    now = code_of([specs[1].model])
    train(store, specs[1], Code("0.1.9", "abc", now.own))
    trial = store.trial(specs[2].trial_id)
    trial.write_code(now)
    train(store, specs[2], Code("0.1.9", "abc", now.own))  # continued by it
    plan = make_plan(config)
    (line,) = versions_of(plan)
    assert line.startswith("trials of 3 versions of this program: ")
    assert f"1 of {now.version} ({now.package})" in line
    assert f"1 of {now.version} then 0.1.9 ({now.package} then abc)" in line
    check_code(plan, plan)


def test_trials_can_be_known_by_their_code(config: SweepConfig, sweep_file: Callable[..., Path], code: Path) -> None:
    text = (code / "sweep.yaml").read_text()
    (code / "sweep.yaml").write_text(text + "identity: code\n")

    def ids() -> tuple[set[str], str]:
        found = load(str(code / "sweep.yaml"))
        return {spec.trial_id for spec in make_plan(found).specs}, found.sharpness.measurement_id

    first = ids()
    assert not first[0] & {spec.trial_id for spec in make_plan(config).specs}
    assert first[1] != config.sharpness.measurement_id
    assert ids() == first
    (code / "my_layers.py").write_text("width = 16\n")
    second = ids()
    assert not first[0] & second[0]
    assert second[1] == first[1]
    (code / "my_measures.py").write_text("sharp = max\n")
    assert ids()[0] == second[0]
    assert ids()[1] != first[1]
    (code / "my_nets.py").unlink()
    with pytest.raises(UsageError, match=r"identity: code needs the sources of my_nets\.Net"):
        ids()
