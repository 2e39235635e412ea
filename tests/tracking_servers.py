"""Real databases and servers for MLflow, as processes of their own, on loopback."""

import getpass
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.free_port import free_port


class MLflowServer:
    """`mlflow server` over a database, which can be stopped and started again at the same address."""

    def __init__(self, database: str, artifacts: Path) -> None:
        self._database = database
        self._artifacts = artifacts
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start, and return once it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self._database, "--workers", "1"]
        command += ["--artifacts-destination", str(self._artifacts), "--host", "127.0.0.1", "--port", str(self._port)]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # five more processes
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=environment
        )
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{self.address}/health", timeout=5).close()
                return
            except OSError:
                assert self._process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.2)

    def stop(self) -> None:
        """End it with everything it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=30)
            self._process = None


@contextmanager
def mlflow_server(folder: Path, database: str | None = None) -> Iterator[MLflowServer]:
    """A running server; over SQLite in `folder` unless a database is given."""
    server = MLflowServer(database or f"sqlite:///{folder}/server.db", folder / "artifacts")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of an empty database on a PostgreSQL server made for it; skips the test where there is none."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL IS NOT INSTALLED, SO IT IS NOT TESTED: `make test-system` as root installs it")
    folder = Path(tempfile.mkdtemp(prefix="renyi-postgres-"))
    user = "postgres" if os.getuid() == 0 else getpass.getuser()  # the server refuses to run as root
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    port = free_port()

    def run(*command: str) -> None:
        prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        subprocess.run([*prefix, *command], check=True, capture_output=True, cwd="/", timeout=120)

    data = str(folder / "data")
    try:
        run(str(programs / "initdb"), "-D", data, "-A", "trust", "-U", user, "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        run(str(programs / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            run(str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", user, "mlflow")
            yield f"postgresql://{user}@127.0.0.1:{port}/mlflow"
        finally:
            run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    """Where PostgreSQL's programs are: Debian keeps them out of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    there = shutil.which("initdb")
    return found[-1].parent if found else Path(there).resolve().parent if there else None
