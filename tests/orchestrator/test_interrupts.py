import os
import signal

import pytest

from orchestrator.interrupts import SIGNALS, Interrupts


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
