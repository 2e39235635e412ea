import os
import signal
import subprocess
import sys
import threading

import pytest

from orchestrator.interrupts import SIGNALS, Interrupts, interrupted_after


def send(which: signal.Signals) -> None:
    os.kill(os.getpid(), which)


@pytest.mark.parametrize("which", SIGNALS)
def test_a_signal_interrupts(which: signal.Signals) -> None:
    with Interrupts(), pytest.raises(KeyboardInterrupt):
        send(which)


@pytest.mark.parametrize("which", SIGNALS)
def test_what_is_held_is_finished_first(which: signal.Signals) -> None:
    steps = []

    def write(interrupts: Interrupts) -> None:
        with interrupts.held():
            send(which)
            steps.append("written")
        steps.append("never reached")

    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        write(interrupts)
    assert steps == ["written"]


def test_a_second_signal_does_not_wait() -> None:
    def write(interrupts: Interrupts) -> None:
        with interrupts.held():
            send(signal.SIGINT)
            send(signal.SIGINT)
            raise AssertionError("never reached")

    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        write(interrupts)


def test_handlers_are_given_back() -> None:
    before = [signal.getsignal(which) for which in SIGNALS]
    with Interrupts():
        pass
    assert [signal.getsignal(which) for which in SIGNALS] == before


def test_whatever_hangs_the_process_ends_in_time() -> None:
    code = """
import signal, time
from orchestrator import interrupts
interrupts.SECONDS_TO_LEAVE = 0.2
with interrupts.Interrupts() as hung, hung.held():
    signal.raise_signal(signal.SIGTERM)
    time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 130
    assert "The same command resumes" in done.stderr


def test_a_time_limit_interrupts_as_ctrl_c_does_and_none_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    with interrupted_after(None), Interrupts():
        pass
    with pytest.raises(KeyboardInterrupt), interrupted_after(0.01, "the time limit is over"), Interrupts():
        threading.Event().wait(60)
    assert "the time limit is over" in capsys.readouterr().err
    with interrupted_after(3600), Interrupts():
        pass
