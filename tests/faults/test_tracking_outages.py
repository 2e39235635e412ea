"""MLflow fails in every way it can while a sweep runs: the sweep goes on, and in the end nothing is missing."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.config.load import load
from orchestrator.store.trial_store import MEASURED_FILE
from tests.faults.drivers import check_record, finished, run, start, wait_for
from tests.faults.small_disk import small_disk
from tests.free_port import free_port
from tests.tracking_servers import mlflow_server
from trainables.trial.folder import TRAINED_FILE

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

SweepFile = Callable[..., Path]
EIGHT = ("[1e-4, 1e-3]", "[1e-5, 1e-4, 1e-3, 1e-2]")


def count(storage: Path, name: str) -> int:
    return len(list(storage.rglob(name)))


def test_a_server_that_is_down_for_a_while(storage: Path, sweep_file: SweepFile, tmp_path: Path) -> None:
    with mlflow_server(tmp_path) as server:
        path = sweep_file(("name: small", f"name: small\ntracking: {server.address}"), EIGHT)
        driver = start(path)
        wait_for(lambda: count(storage, TRAINED_FILE) >= 1, driver)
        server.stop()
        before = count(storage, MEASURED_FILE)
        wait_for(lambda: count(storage, MEASURED_FILE) >= before + 4, driver)  # the sweep goes on meanwhile
        server.start()
        output, _ = driver.communicate(timeout=600)
        assert driver.returncode == 0, output
        assert "MLflow can't be written" in output
        assert "MLflow answers again" in output
        assert "8 trained, 8 measured" in output
        assert "Traceback" not in output
        check_record(path)


def test_a_server_that_stays_down_is_made_up_for_by_the_next_run(
    storage: Path, sweep_file: SweepFile, tmp_path: Path
) -> None:
    with mlflow_server(tmp_path) as server:
        path = sweep_file(("name: small", f"name: small\ntracking: {server.address}"))
        driver = start(path)
        wait_for(lambda: count(storage, TRAINED_FILE) >= 1, driver)
        server.stop()
        output, _ = driver.communicate(timeout=600)
        assert driver.returncode == 0, output
        assert "4 trained, 4 measured" in output
        assert "not logged: " in output
        assert f"this logs what is missing:\n  renyi run {path}" in output
        assert "Traceback" not in output
        done = finished(storage)
        server.start()
        exit_code, output = run(path)
        assert exit_code == 0, output
        assert "0 trained, 0 measured" in output
        assert finished(storage) == done
        check_record(path)


def test_a_server_that_is_down_from_the_start_is_told_before_anything_starts(
    storage: Path, sweep_file: SweepFile
) -> None:
    path = sweep_file(("name: small", f"name: small\ntracking: http://127.0.0.1:{free_port()}"))
    started = time.monotonic()
    exit_code, output = run(path)
    assert exit_code == 2
    assert len(output.splitlines()) == 1, output
    assert "can't be used: " in output
    assert "Connection refused" in output
    assert "start the server" in output
    assert "--tracking" in output
    assert time.monotonic() - started < 200  # MLflow itself would try for an hour
    assert not list(storage.rglob("*.pt"))


def test_postgresql_that_is_down_from_the_start_is_told_at_once(storage: Path, sweep_file: SweepFile) -> None:
    path = sweep_file(("name: small", f"name: small\ntracking: postgresql://me:secret@127.0.0.1:{free_port()}/mlflow"))
    exit_code, output = run(path)
    assert exit_code == 2
    assert len(output.splitlines()) == 1, output
    assert "onnection refused" in output
    assert "secret" not in output


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process holds an exclusive transaction."""
    code = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60);"
        "connection.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    try:
        yield
    finally:
        holder.stdin.close()
        holder.wait(timeout=30)
        holder.stdout.close()


def test_a_database_that_another_process_locks_for_long(storage: Path, sweep_file: SweepFile) -> None:
    path = sweep_file()
    driver = start(path)
    wait_for(lambda: count(storage, TRAINED_FILE) >= 1, driver)
    with locked(storage / "mlflow.db"):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            sqlite3.connect(storage / "mlflow.db", timeout=0.1).execute("SELECT 1 FROM runs")
        wait_for(lambda: count(storage, MEASURED_FILE) == 4, driver)
        time.sleep(22)  # longer than MLflow itself waits
    output, _ = driver.communicate(timeout=600)
    assert driver.returncode == 0, output
    assert "MLflow can't be written" in output
    assert "Traceback" not in output
    check_record(path)


def test_a_database_whose_disk_is_full_for_a_while(storage: Path, sweep_file: SweepFile, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kilobytes=8_000) as disk:
        path = sweep_file(("name: small", f"name: small\ntracking: sqlite:///{disk}/own.db"), EIGHT)
        driver = start(path)
        wait_for(lambda: count(storage, TRAINED_FILE) >= 1, driver)
        ballast = disk / "ballast"
        fill(ballast)
        before = count(storage, MEASURED_FILE)
        wait_for(lambda: count(storage, MEASURED_FILE) >= before + 3, driver)
        ballast.unlink()
        output, _ = driver.communicate(timeout=600)
        assert driver.returncode == 0, output
        assert "MLflow can't be written" in output
        check_record(path)
        assert load(str(path)).tracking_uri == f"sqlite:///{disk}/own.db"


def fill(path: Path) -> None:
    """Take all room that is left on a disk."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return
