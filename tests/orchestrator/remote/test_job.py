"""A sweep as a Ray job, on the dashboard of a local Ray: started, found running, stopped, its exit code handed on."""

import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from ray.job_submission import JobSubmissionClient

from orchestrator.exit_codes import ExitCode
from orchestrator.remote import job
from tests.local_ray import local_ray

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobSubmissionClient]:
    """A client of a Ray whose jobs find `renyi`: here a script that waits, or ends with an exit code."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "renyi"
    script.write_text(
        f"#!{sys.executable}\nimport sys, time\nprint('renyi', *sys.argv[1:], flush=True)\n"
        "time.sleep(600 if sys.argv[1] == 'wait' else 0)\nsys.exit(int(sys.argv[2]))\n"
    )
    script.chmod(0o755)
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{folder}{os.pathsep}{path}"
    try:
        with local_ray(dashboard=True) as found:
            client = JobSubmissionClient(f"http://{found['webui_url']}")
            wait_for_agent(client)
            yield client
    finally:
        os.environ["PATH"] = path


def wait_for_agent(client: JobSubmissionClient) -> None:
    """Until Ray takes jobs, some seconds after its dashboard answers."""
    deadline = time.monotonic() + 90
    while True:
        try:
            client.submit_job(entrypoint="true")
            return
        except RuntimeError as error:
            if "No available agent" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_exit_code_and_the_output_of_the_command_are_handed_on(
    client: JobSubmissionClient, capfd: pytest.CaptureFixture[str], code: int
) -> None:
    assert job.run(client, "small", ["end", str(code), "two words"]) == code
    assert f"renyi end {code} two words" in capfd.readouterr().out


def test_a_sweep_that_runs_is_shown_not_started_again_and_can_be_stopped(
    client: JobSubmissionClient, capfd: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []
    first, second = (
        threading.Thread(target=lambda: codes.append(job.run(client, "long", ["wait", "0"]))) for _ in range(2)
    )
    first.start()
    deadline = time.monotonic() + 60
    while job._running(client, "long") is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    second.start()
    assert job.stop(client, "other") == 0
    time.sleep(3)
    assert job.stop(client, "long") == 0
    for thread in (first, second):
        thread.join(timeout=60)
    assert codes == [ExitCode.INTERRUPTED] * 2
    said = capfd.readouterr().out
    assert "other is not running" in said
    assert "long is running already (renyi wait 0); its output so far:" in said
    assert "long is stopped; `renyi run` resumes it" in said
    assert len([one for one in client.list_jobs() if (one.metadata or {}).get(job.SWEEP) == "long"]) == 1
