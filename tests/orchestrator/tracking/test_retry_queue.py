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


class Place:
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
    place, said = Place(), list[str]()
    spool = RetryQueue(said.append, lambda: said.append("again"))
    for text in "abc":
        spool.put(text, lambda text=text: place.write(text))  # type: ignore[misc]
    assert spool.wait(0.2) == 3
    assert place.tries > 3
    assert spool.reason == "ConnectionError: refused"
    place.down = False
    assert spool.wait(5) == 0
    assert sorted(place.written) == ["a", "b", "c"]
    assert said == ["ConnectionError: refused", "again"]
    assert spool.reason == ""


def test_what_fails_for_good_is_told_to_who_asks_and_not_repeated() -> None:
    def fail() -> None:
        tries.append(1)
        raise FileNotFoundError("gone")

    said, tries, done = list[str](), list[int](), list[str]()
    spool = RetryQueue(said.append, lambda: None, fatal=(OSError,))
    spool.check()
    spool.put("a", fail)
    spool.put("b", lambda: done.append("b"))
    assert (spool.wait(5), spool.given_up) == (0, 1)
    assert spool.reason == "FileNotFoundError: gone"
    with pytest.raises(FileNotFoundError, match="gone"):
        spool.check()
    assert (tries, done, said) == ([1], ["b"], [])


def test_putting_never_waits() -> None:
    spool = RetryQueue(lambda _: None, lambda: None)
    gate = threading.Event()
    spool.put("slow", lambda: [gate.wait(10)].clear())
    started = time.monotonic()
    for number in range(1000):
        spool.put(str(number), lambda: None)
    assert time.monotonic() - started < 1
    gate.set()
    assert spool.wait(10) == 0


def test_a_job_that_never_succeeds_keeps_no_other_from_it() -> None:
    place = Place()
    place.down = False
    spool = RetryQueue(lambda _: None, lambda: None)
    spool.put("bad", lambda: place.write(1 / 0))  # type: ignore[arg-type]
    for text in "abc":
        spool.put(text, lambda text=text: place.write(text))  # type: ignore[misc]
    assert spool.wait(0.3) == 1
    assert place.written == ["a", "b", "c"]
    assert "ZeroDivisionError" in spool.reason


def test_a_later_job_replaces_one_of_the_same_key_that_waits() -> None:
    place = Place()
    spool = RetryQueue(lambda _: None, lambda: None)
    spool.put("trial", lambda: place.write("trained"))
    spool.put("trial", lambda: place.write("measured"))
    spool.wait(0.1)
    place.down = False
    assert spool.wait(5) == 0
    assert place.written[-1] == "measured"
    assert len(place.written) == 1


def test_waiting_goes_on_while_something_is_achieved() -> None:
    done: list[int] = []
    spool = RetryQueue(lambda _: None, lambda: None)

    def work(number: int) -> None:
        time.sleep(0.1)
        done.append(number)

    for number in range(10):
        spool.put(str(number), partial(work, number))
    assert spool.wait(0.3) == 0
    assert len(done) == 10
