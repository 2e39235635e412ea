"""What a preflight says, from what nodes answer; the answers of real nodes are tested in tests/hosts."""

import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from orchestrator.config.load import load
from orchestrator.executors.ray.preflight import NodeAnswer, node_problems, tracking_problems

VERSIONS = {"Python": "3.12.1", "torch": "2.6.0", "ray": "2.49.0"}
DRIVER = NodeAnswer("head (10.0.0.1)", VERSIONS)


def test_a_cluster_that_is_right_has_no_problems() -> None:
    assert (
        node_problems([DRIVER, NodeAnswer("a", VERSIONS, skew=4.9), NodeAnswer("b", VERSIONS, skew=-4.9)], "/s") == []
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            NodeAnswer("a", VERSIONS | {"ray": "2.50.0"}),
            "a has ray 2.50.0, the driver on head (10.0.0.1) 2.49.0; install",
        ),
        (NodeAnswer("a", VERSIONS, skew=-7), "the clock of a is -7 s off the driver's; set it"),
        (
            NodeAnswer("a", VERSIONS, storage="Permission denied"),
            "storage: /s can't be written from a (Permission denied)",
        ),
        (NodeAnswer("a", VERSIONS, shared=False), "storage: /s on a is another folder than on head (10.0.0.1); mount"),
        (NodeAnswer("a", VERSIONS, data="no images"), "data: on a: no images"),
        (NodeAnswer("a", VERSIONS, gpus="torch sees no GPU"), "a: torch sees no GPU; compare `nvidia-smi`"),
        (NodeAnswer("a", VERSIONS, rehearsal=("model 'x.Y' {}: no",)), "model 'x.Y' {}: no (on a)"),
        (NodeAnswer("a", {}, silence="timed out"), "a did not answer (timed out); see `ray status`"),
    ],
)
def test_each_failure_is_one_line(answer: NodeAnswer, expected: str) -> None:
    problems = [each for each in node_problems([DRIVER, answer], "/s") if "--no-rehearsal" not in each]
    assert len(problems) == 1
    assert problems[0].startswith(expected)
    assert "\n" not in problems[0]


def test_the_same_failure_of_many_nodes_is_one_line_and_all_failures_are_reported() -> None:
    wrong = VERSIONS | {"torch": "2.7.0"}
    answers = [DRIVER, NodeAnswer("a", wrong), NodeAnswer("b", wrong, skew=60), NodeAnswer("c", VERSIONS, skew=60)]
    first, second = node_problems(answers, "/s")
    assert first.startswith("a, b has torch 2.7.0")
    assert second.startswith("the clock of b, c is +60 s off")


class Refusing(BaseHTTPRequestHandler):
    """A server that lets nobody in."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_tracking_server_that_is_down_or_refuses_is_reported_without_its_password(
    storage: Path, sweep_file: Callable[..., Path]
) -> None:
    path = str(sweep_file())
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_port
        refused = tracking_problems(load(path, tracking=f"http://127.0.0.1:{port}"))
        server.shutdown()
        thread.join()
    assert len(refused) == 1
    assert "refuses: set MLFLOW_TRACKING_USERNAME" in refused[0]
    down = tracking_problems(load(path, tracking=f"http://127.0.0.1:{port}/"))
    assert len(down) == 1
    assert f"tracking: http://127.0.0.1:{port}/ does not answer" in down[0]
    secret = tracking_problems(load(path, tracking=f"http://me:secret@127.0.0.1:{port}"))
    assert "secret" not in secret[0]
    assert tracking_problems(load(path)) == []  # SQLite in the storage, which is checked by itself


def test_the_machine_may_say_where_results_are_tracked_and_the_file_wins(
    storage: Path, sweep_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENYI_TRACKING", "http://10.0.0.1:5000")
    assert load(str(sweep_file())).tracking_uri == "http://10.0.0.1:5000"
    own = sweep_file(("resources:", "tracking: http://10.0.0.2:5000\nresources:"), name="own.yaml")
    assert load(str(own)).tracking_uri == "http://10.0.0.2:5000"


@pytest.mark.system
def test_this_machine_is_asked_and_all_that_is_wrong_is_reported_at_once(
    sweep_file: Callable[..., Path],
) -> None:
    path = sweep_file(("trial: {cpus: 0.75}", "trial: {cpus: 4000}"))
    command = [sys.executable, "-m", "orchestrator.cli", "preflight", str(path)]
    command += ["--storage", "/proc/1/nowhere", "--tracking", "http://127.0.0.1:9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    tracking, size, storage = done.stderr.splitlines()
    assert tracking.startswith("tracking: http://127.0.0.1:9 does not answer (")
    assert "a trial 4000, together 4000.5; the cluster has" in size
    assert "storage: /proc/1/nowhere/small can't be written from" in storage
