"""A sweep as a Ray job on the head of a cluster: start it or find it running, show its output, stop it.

`renyi … --cluster` calls it as `python -m orchestrator.remote.job run NAME WORDS...` and
`python -m orchestrator.remote.job stop NAME`.
"""

import asyncio
import logging
import os
import shlex
import sys
import time
from collections.abc import Sequence

from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from orchestrator.config.load import TYPED_VARIABLE
from orchestrator.display import console, stderr_console
from orchestrator.exit_codes import ExitCode
from orchestrator.intervals import JOB

DASHBOARD = "http://127.0.0.1:8265"
SWEEP = "sweep"  # the key in a job's metadata


def run(client: JobSubmissionClient, sweep: str, words: Sequence[str]) -> int:
    """Start `renyi` with the words as the job of a sweep, unless it is running already, and show its output to the end.

    Returns:
        The exit code of the command; 130 where the job was stopped.
    """
    running = _running(client, sweep)
    if running is None:
        typed = {name: os.environ[name] for name in (TYPED_VARIABLE,) if name in os.environ}
        environment = {"env_vars": typed} if typed else None
        entrypoint = f"exec renyi {shlex.join(words)}"
        job_id = client.submit_job(entrypoint=entrypoint, metadata={SWEEP: sweep}, runtime_env=environment)
    else:
        job_id = str(running.submission_id)
        console.print(f"{sweep} is running already ({running.entrypoint.removeprefix('exec ')}); its output so far:")
    asyncio.run(_show(client, job_id))
    _wait(client, job_id)  # the log ends a little before the job's state says so
    info = client.get_job_info(job_id)
    if info.status is JobStatus.STOPPED:
        return ExitCode.INTERRUPTED
    if info.driver_exit_code is None:
        stderr_console.print(f"the job {job_id} ended without an exit code: {info.message}", style="red")
        return ExitCode.SOME_FAILED
    return int(info.driver_exit_code)


def stop(client: JobSubmissionClient, sweep: str) -> int:
    """End the job of a sweep and wait until it has written its record."""
    running = _running(client, sweep)
    if running is None:
        console.print(f"{sweep} is not running")
        return 0
    job_id = str(running.submission_id)
    client.stop_job(job_id)
    _wait(client, job_id)
    console.print(f"{sweep} is stopped")
    return 0


def _running(client: JobSubmissionClient, sweep: str) -> JobDetails | None:
    jobs = [job for job in client.list_jobs() if job.submission_id and (job.metadata or {}).get(SWEEP) == sweep]
    return next((job for job in jobs if not job.status.is_terminal()), None)


def _wait(client: JobSubmissionClient, job_id: str) -> None:
    while not client.get_job_status(job_id).is_terminal():
        time.sleep(JOB)


async def _show(client: JobSubmissionClient, job_id: str) -> None:
    async for text in client.tail_job_logs(job_id):
        console.out(text, end="")


def main(arguments: Sequence[str]) -> int:
    """Run or stop the job that the command line names."""
    what, sweep, *words = arguments
    logging.getLogger("ray.dashboard.modules.job.sdk").setLevel(logging.WARNING)
    client = JobSubmissionClient(DASHBOARD)
    return run(client, sweep, words) if what == "run" else stop(client, sweep)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
