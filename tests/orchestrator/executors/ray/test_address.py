"""What keeps Ray from starting or from being joined, each told in one line and within seconds."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from orchestrator.errors import UsageError
from orchestrator.executors.ray import address
from orchestrator.executors.ray.address import PREFACE, check_ray, ray_address

SETTINGS_FRAME = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """The port of a server that answers the first message with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                if connection.recv(100).startswith(PREFACE[:24]):
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


WRONG = (
    "garbage",
    ":",
    ":6379",
    "[::1",
    "host:",
    "host:port",
    "host:0",
    "host:99999",
    "http://h:8265",
    "ray://h",
    "a/b:1",
)
SILENT = ("127.0.0.1:1", "ray://127.0.0.1:1", "[::1]:1", "nohost.invalid:6379", "x" * 70 + ":1")


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_address_is_told_with_the_form(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", wrong)
    with pytest.raises(UsageError, match="is not of the form host:port; name a running cluster's head"):
        check_ray()


@pytest.mark.parametrize("there", SILENT)
def test_an_address_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, there: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", there)
    with pytest.raises(UsageError, match="does not answer") as caught:
        check_ray()
    assert len(caught.value.problems) == 1
    assert "\n" not in str(caught.value)


def test_a_server_of_another_kind_is_no_head(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as web:
        thread = threading.Thread(target=web.handle_request)
        thread.start()
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{web.server_port}")
        with pytest.raises(UsageError, match="is not Ray's head"):
            check_ray()
        thread.join()
    with answering(b"") as port:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        with pytest.raises(UsageError, match="is not Ray's head"):
            check_ray()


def test_a_server_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "ANSWER_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(UsageError, match="does not answer"):
            check_ray()


def test_a_server_that_speaks_as_ray_does_may_be_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(SETTINGS_FRAME) as port:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        check_ray()


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_a_folder_too_long_for_sockets_is_told_before_ray_starts(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv(variable, "/tmp/" + "l" * 90)
    with pytest.raises(UsageError, match=rf"^{variable}: .* is too long for Ray.*set RAY_TMPDIR") as caught:
        check_ray()
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    check_ray()
    monkeypatch.setenv(variable, "/tmp/" + "é" * 45)
    monkeypatch.setenv("RAY_ADDRESS", "")
    if variable == "RAY_TMPDIR":
        with pytest.raises(UsageError, match="is too long for Ray"):
            check_ray()


@pytest.mark.parametrize(("value", "meant"), [("", None), ("local", None), ("auto", "auto"), ("h:1", "h:1")])
def test_an_empty_address_is_none(monkeypatch: pytest.MonkeyPatch, value: str, meant: str | None) -> None:
    monkeypatch.setenv("RAY_ADDRESS", value)
    assert ray_address() == meant
