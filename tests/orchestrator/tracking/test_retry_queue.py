"""Jobs that fail for a while: all are done in the end, and nobody waits for them."""

import threading
import time
from functools import partial

import pytest

from orchestrator.tracking import retry_queue as module
from orchestrator.tracking.retry_queue import RetryQueue


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.1)


def always(_: Exception) -> bool:
    return True


class Target:
    """Something to write to that fails while it is down."""

    def __init__(self) -> None:
        self.down = True
        self.written: list[str] = []
        self.tries = 0

    def write(self, text: str) -> None:
        self.tries += 1
        if self.down:
            raise ConnectionError("refused\nby the server")
        self.written.append(text)


def test_what_fails_is_repeated_until_it_succeeds() -> None:
    target, said = Target(), list[str]()
    queue = RetryQueue(said.append, lambda: said.append("again"), always)
    for text in "abc":
        queue.put(text, lambda text=text: target.write(text))  # type: ignore[misc]
    assert queue.wait(0.2) == 3
    assert target.tries > 3
    assert queue.reason == "ConnectionError: refused"
    target.down = False
    assert queue.wait(5) == 0
    assert sorted(target.written) == ["a", "b", "c"]
    assert said == ["ConnectionError: refused", "again"]
    assert queue.reason == ""


def test_what_fails_for_good_is_raised_by_check_and_not_repeated() -> None:
    def fail(what: str) -> None:
        tries.append(1)
        raise FileNotFoundError(what)

    said, tries, done = list[str](), list[int](), list[str]()
    queue = RetryQueue(said.append, lambda: None, lambda error: not isinstance(error, OSError))
    queue.check()
    queue.put("a", partial(fail, "gone"))
    queue.put("b", lambda: done.append("b"))
    queue.put("c", partial(fail, "gone as well"))
    assert (queue.wait(5), queue.given_up) == (0, 2)
    assert queue.reason == "FileNotFoundError: gone"
    with pytest.raises(FileNotFoundError, match="gone"):
        queue.check()
    assert (tries, done, said) == ([1, 1], ["b"], [])


def test_putting_never_waits() -> None:
    queue = RetryQueue(lambda _: None, lambda: None, always)
    begun, gate = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        gate.wait(60)

    queue.put("slow", slow)
    assert begun.wait(60)
    for number in range(1000):  # returns while the first job is still running
        queue.put(str(number), lambda: None)
    assert queue.waiting == 1001
    gate.set()
    assert queue.wait(60) == 0


def test_a_job_that_never_succeeds_keeps_no_other_from_it() -> None:
    target = Target()
    target.down = False
    queue = RetryQueue(lambda _: None, lambda: None, always)
    queue.put("bad", lambda: target.write(1 / 0))  # type: ignore[arg-type]
    for text in "abc":
        queue.put(text, lambda text=text: target.write(text))  # type: ignore[misc]
    assert queue.wait(0.3) == 1
    assert target.written == ["a", "b", "c"]
    assert "ZeroDivisionError" in queue.reason


def test_a_later_job_replaces_one_of_the_same_key_that_waits() -> None:
    target = Target()
    queue = RetryQueue(lambda _: None, lambda: None, always)
    queue.put("trial", lambda: target.write("trained"))
    queue.put("trial", lambda: target.write("measured"))
    queue.wait(0.1)
    target.down = False
    assert queue.wait(5) == 0
    assert target.written[-1] == "measured"
    assert len(target.written) == 1


def test_waiting_goes_on_while_something_is_achieved() -> None:
    done: list[int] = []
    queue = RetryQueue(lambda _: None, lambda: None, always)

    def work(number: int) -> None:
        time.sleep(0.1)
        done.append(number)

    for number in range(10):
        queue.put(str(number), partial(work, number))
    assert queue.wait(0.3) == 0
    assert len(done) == 10
