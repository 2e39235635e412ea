import subprocess
import sys
import time

from trainables.trial.machine import THIS_MACHINE


def test_a_process_is_known_by_its_start_as_long_as_it_runs() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = THIS_MACHINE.process_started(process.pid)
    assert started
    assert started == THIS_MACHINE.process_started(process.pid)
    process.kill()
    deadline = time.monotonic() + 10
    while THIS_MACHINE.process_started(process.pid) == started:  # a zombie does not run
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.communicate()
    assert THIS_MACHINE.process_started(THIS_MACHINE.pid)


def test_threads_wait_for_each_other() -> None:
    condition, said = THIS_MACHINE.condition(), list[str]()

    def say() -> None:
        with condition:
            said.append("done")
            condition.notify_all()

    with condition:
        THIS_MACHINE.start(say, "speaker")
        assert condition.wait(10)
    assert said == ["done"]
