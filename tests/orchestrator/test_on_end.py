"""The command at the end of a sweep, run by a real shell."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.exit_codes import ExitCode
from orchestrator.on_end import exit_code_of, run_on_end
from orchestrator.store.trial_store import TrialStore
from tests.orchestrator.made_up import fail, finish
from trainables.errors import StorageError
from trainables.trial.specs import TrialSpec


@pytest.fixture
def ending(config: SweepConfig) -> Callable[[str], SweepConfig]:
    return lambda command: config.model_copy(update={"on_end": command})


def test_the_environment_says_what_ended_and_how(
    ending: Callable[[str], SweepConfig],
    config: SweepConfig,
    specs: list[TrialSpec],
    store: TrialStore,
    tmp_path: Path,
) -> None:
    finish(store, specs[:2], config.sharpness)
    fail(store, specs[2])
    said = tmp_path / "said"
    words = ("SWEEP", "STATE", "EXIT_CODE", "TRIALS", "MEASURED", "TRAINED", "TRAINING", "FAILED", "PENDING", "FOLDER")
    command = f"echo {' '.join(f'$RENYI_{word}' for word in words)} >> {said}"
    for code in (ExitCode.ALL_MEASURED, ExitCode.SOME_FAILED, ExitCode.BAD_INPUT, ExitCode.INTERRUPTED):
        run_on_end(ending(command), code)
    rest = f"4 2 0 0 1 1 {config.folder}"
    assert said.read_text().splitlines() == [
        f"small finished 0 {rest}",
        f"small failed 1 {rest}",
        f"small failed 2 {rest}",
        f"small interrupted 130 {rest}",
    ]


def test_without_a_readable_storage_the_numbers_are_left_out(
    ending: Callable[[str], SweepConfig], config: SweepConfig, tmp_path: Path
) -> None:
    Path(config.storage).write_text("a file where the folder should be")
    run_on_end(ending(f"echo $RENYI_STATE ${{RENYI_TRIALS-none}} > {tmp_path}/said"), 2)
    assert (tmp_path / "said").read_text() == "failed none\n"


@pytest.mark.parametrize(
    ("command", "warning"),
    [
        ("exit 3", "on_end: the command ended with exit code 3"),
        ("no-such-command 2>/dev/null", "on_end: the command ended with exit code 127"),
        ("kill -9 $$", "on_end: the command ended by signal 9"),
        ("sleep 1000 & sleep 1000", "on_end: the command was ended after 0.2 s"),
    ],
)
def test_its_failure_is_one_line(
    ending: Callable[[str], SweepConfig], command: str, warning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_on_end(ending(command), 0, timeout=0.2 if "sleep" in command else 60)
    said = capsys.readouterr().err
    assert warning in said
    assert said.count("\n") == 1


def test_nothing_it_started_outlives_it(ending: Callable[[str], SweepConfig], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    run_on_end(ending(f"exec 3> {pipe}; echo begun >&3; sleep 1000 & wait"), 0, timeout=1)
    os.set_blocking(reader, True)
    with os.fdopen(reader) as lines:
        assert lines.read() == "begun\n"  # ends when the last process that has the pipe has ended


def test_errors_have_the_exit_codes_of_the_command() -> None:
    assert exit_code_of(KeyboardInterrupt()) == 130
    assert exit_code_of(UsageError("wrong")) == exit_code_of(StorageError("full")) == 2
    assert exit_code_of(ValueError("a mistake in this program")) == 1


def test_a_sweep_without_the_key_runs_nothing(config: SweepConfig) -> None:
    run_on_end(config, 0)
