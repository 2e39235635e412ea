"""A server and what it starts end with the command that started it, however that ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# A server that starts another process, and prints the numbers of its parent, of itself and of the other.
SERVER = """
import os, subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getppid(), os.getpid(), other.pid, flush=True)
time.sleep(600)
"""
COMMAND = "import sys; from orchestrator.tracking.supervised import run; sys.exit(run(sys.argv[1:]))"
ROOT = Path(__file__).parents[3]


def start(*prefix: str) -> tuple["subprocess.Popen[str]", list[int]]:
    """A command with its server, and the numbers of the processes that must not outlive it."""
    command = [*prefix, sys.executable, "-S", "-c", COMMAND, sys.executable, "-S", "-c", SERVER]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert process.stdout is not None
    return process, [int(word) for word in process.stdout.readline().split()]


def ended(process: "subprocess.Popen[str]") -> bool:
    """Whether all who could write to the command's output have gone: its end is read only then."""
    assert process.stdout is not None
    return process.stdout.read() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_server_and_all_that_it_started(number: signal.Signals) -> None:
    process, _ = start()
    process.send_signal(number)
    assert process.wait() == 0
    assert ended(process)


def test_a_command_that_is_killed_takes_its_server_along() -> None:
    process, _ = start()
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert ended(process)


def test_a_hangup_is_ignored_under_nohup() -> None:
    process, _ = start("nohup")
    process.send_signal(signal.SIGHUP)
    process.terminate()
    assert process.wait() == 0
    assert ended(process)


def test_a_server_that_ends_by_itself_gives_its_exit_code_and_leaves_nothing() -> None:
    process, (_, server, _) = start()
    os.kill(server, signal.SIGKILL)
    assert process.wait() not in (0, None)
    assert ended(process)
