"""The commands that messages advise: pasted into a shell, each finds the same sweep again."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from orchestrator.cli import app
from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import show_failures, show_pending
from orchestrator.report import report_sweeps
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import TrialStore
from orchestrator.tracking.description import origin_tags
from tests.orchestrator.made_up import ONE_MEASURE, finish
from trainables.trial.folder import Failure, write_failure

SweepFile = Callable[..., Path]
ODD = "it's a (100%) $weep; [x].yaml"


@pytest.fixture(params=["file", "file in a folder", "storage", "tracking"])
def config(
    request: pytest.FixtureRequest,
    storage: Path,
    sweep_file: SweepFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> SweepConfig:
    """The small sweep, as users name it in one way and another."""
    monkeypatch.chdir(tmp_path)
    path = sweep_file(ONE_MEASURE, name=ODD)
    match request.param:
        case "file":
            return load(ODD)
        case "file in a folder":
            return load(str(path))
        case "storage":
            return load(ODD, storage="other place/$x")
        case _:
            return load(ODD, tracking="sqlite:///own 'one'.db")


def pasted(command: str) -> list[SweepConfig]:
    """The sweeps that a command would work on, by its own parser."""
    program, name, *words = shlex.split(command)
    assert program == "renyi"
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    found = group.commands[name].make_context(name, words).params
    sweeps = found["sweeps"] if "sweeps" in found else [found["sweep"]]
    return [load(sweep, found["storage"], found["tracking"]) for sweep in sweeps]


def advised(text: str) -> list[str]:
    """The commands in a text, each at the end of its line."""
    return re.findall(r"renyi (?:run|retry|ui|report|status) .*$", text, re.MULTILINE)


def test_the_last_lines_of_a_sweep_with_failures(config: SweepConfig, capsys: pytest.CaptureFixture[str]) -> None:
    store = TrialStore(config.folder, config.sharpness.measurement_id)
    write_failure(store.trial(expand(config)[0].trial_id).folder, Failure("training", "its loss is not finite"))
    show_failures(make_plan(config))
    show_pending(config, 3, "connection refused")
    commands = advised(capsys.readouterr().out)
    assert [command.split()[1] for command in commands] == ["retry", "run"]
    assert [pasted(command) for command in commands] == [[config], [config]]


@pytest.mark.parametrize("config", ["storage"], indirect=True)
@pytest.mark.usefixtures("one_kind_of_picture")
def test_the_last_lines_of_a_report_and_of_its_page(config: SweepConfig, capsys: pytest.CaptureFixture[str]) -> None:
    finish(TrialStore(config.folder, config.sharpness.measurement_id), expand(config), config.sharpness)
    report = report_sweeps([config], "store", gaps=["error"])
    (command,) = advised(capsys.readouterr().out)
    assert command.startswith("renyi ui ")
    assert pasted(command) == [config]
    to_reproduce = advised(report.files["verdict.md"].decode())
    assert [command.split()[1] for command in to_reproduce] == ["run", "report"]
    assert [pasted(command) for command in to_reproduce] == [[config], [config]]


def test_the_source_of_a_run_in_mlflow(config: SweepConfig) -> None:
    assert pasted(origin_tags(config)["mlflow.source.name"]) == [config]


def test_passwords_are_no_part_of_advice(sweep_file: SweepFile) -> None:
    config = load(str(sweep_file()), tracking="postgresql://me:secret@host/db")
    assert "secret" not in config.typed
    assert "--tracking 'postgresql://***@host/db'" in config.typed


def test_a_sweep_that_nobody_typed_goes_by_its_name(sweep_file: SweepFile) -> None:
    config = load(str(sweep_file()))
    fields = {name: getattr(config, name) for name in SweepConfig.model_fields}
    assert SweepConfig.model_validate(fields).typed == "small"
