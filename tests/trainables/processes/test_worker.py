"""Tasks in a process of their own: what they return, and what is said of those that end, hang or flood."""

import multiprocessing
import os
import signal
from collections.abc import Iterator

import pytest

from tests.forked_worker import start_afresh
from trainables.errors import DivergedError
from trainables.processes import limits, running
from trainables.processes.child import TaskError
from trainables.processes.ending import LostError, OverdueError
from trainables.processes.limits import Limits
from trainables.processes.worker import Worker

TASKS = "tests.trainables.processes.odd_tasks"


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker({"OF_THE_WORKER": "1"})
    yield worker
    worker.close()


def test_values_come_as_they_are_made_and_the_process_is_kept(worker: Worker) -> None:
    assert list(worker.run(f"{TASKS}.count", 3)) == [0, 1, 2]
    first = list(worker.run(f"{TASKS}.pid"))
    assert first == list(worker.run(f"{TASKS}.pid")) != [os.getpid()]


@pytest.mark.parametrize(
    ("task", "arguments", "text"),
    [
        ("sys_exit", ("no such data",), "SystemExit: no such data"),
        ("sys_exit", (3,), "SystemExit: 3"),
        ("sys_exit", (None,), "SystemExit"),
        ("interrupt", (), "KeyboardInterrupt"),
        ("colours", (), "ValueError: red alert"),
        ("cuont", (), f"ImportError: {TASKS} "),
    ],
)
def test_what_user_code_raises_ends_the_task_alone(
    worker: Worker, task: str, arguments: tuple[object, ...], text: str
) -> None:
    (before,) = worker.run(f"{TASKS}.pid")
    with pytest.raises(TaskError, match=f"^{text}"):
        list(worker.run(f"{TASKS}.{task}", *arguments))
    assert list(worker.run(f"{TASKS}.pid")) == [before]


def test_errors_of_this_package_keep_their_type(worker: Worker) -> None:
    with pytest.raises(DivergedError, match="the loss is nan"):
        list(worker.run(f"{TASKS}.diverge"))


@pytest.mark.parametrize(
    ("task", "argument", "cause"),
    [
        ("leave", 0, r"its process ended itself with exit code 0; last output: on my way out$"),
        ("leave", 7, r"its process ended itself with exit code 7; last output: on my way out$"),
        (
            "kill",
            signal.SIGKILL,
            r"its process was killed \(SIGKILL\), as the system does when memory runs out; it used",
        ),
        ("kill", signal.SIGTERM, r"its process was ended by SIGTERM$"),
    ],
)
def test_a_process_that_ends_is_told_with_its_cause_and_replaced(
    worker: Worker, task: str, argument: int, cause: str
) -> None:
    with pytest.raises(LostError, match=cause):
        list(worker.run(f"{TASKS}.{task}", argument))
    assert list(worker.run(f"{TASKS}.count", 1)) == [0]


@pytest.mark.parametrize("task", ["hang", "hang_without_python"])
def test_silence_is_ended_and_its_place_is_told(worker: Worker, task: str) -> None:
    with pytest.raises(OverdueError, match=r"^no sign of life for 0.2 s \(training.silence_limit\), in .*odd_tasks.py"):
        list(worker.run(f"{TASKS}.{task}", limits=Limits(silence=0.2)))
    assert list(worker.run(f"{TASKS}.count", 1)) == [0]


def test_signs_of_life_are_heard(worker: Worker) -> None:
    assert list(worker.run(f"{TASKS}.live", 1.5, limits=Limits(silence=1.0))) == [1]


def test_a_task_that_takes_too_long_is_ended(worker: Worker) -> None:
    with pytest.raises(OverdueError, match=r"^it took longer than training.time_limit \(0.3 s\)"):
        list(worker.run(f"{TASKS}.live", 60, limits=Limits(seconds=0.3)))


def test_a_flood_of_output_is_ended(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_OUTPUT", 3 << 20)
    with pytest.raises(OverdueError, match=r"^it printed more than 3 MB") as caught:
        list(worker.run(f"{TASKS}.flood"))
    assert len(str(caught.value)) < 1000


def test_a_worker_ends_with_its_watcher_even_where_it_hangs_in_native_code() -> None:
    from tests.trainables.processes.odd_tasks import parent_of_worker

    read, write = os.pipe()
    parent = multiprocessing.get_context("fork").Process(target=parent_of_worker, args=(write,))
    parent.start()
    os.close(write)
    assert int(os.read(read, 20)) != parent.pid
    os.kill(parent.pid or 0, signal.SIGKILL)
    parent.join()
    assert os.read(read, 1) == b""  # which the worker has inherited, and closes with its end


def test_a_worker_that_starts_afresh_finds_modules_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "launch", start_afresh)
    worker = Worker({"OF_THE_WORKER": "here"})
    try:
        assert list(worker.run("os.getenv", "OF_THE_WORKER")) == list("here")
        assert list(worker.run(f"{TASKS}.count", 1)) == [0]
        with pytest.raises(LostError, match=r"ended by SIGSEGV, in .*odd_tasks.py, line \d+, in kill$"):
            list(worker.run(f"{TASKS}.kill", signal.SIGSEGV))
    finally:
        worker.close()
