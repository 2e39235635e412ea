"""The lease: real files, real processes; other machines are files that they would have left."""

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pyarrow import fs

from orchestrator.interrupts import Interrupts
from orchestrator.store import lease as module
from orchestrator.store.lease import Driver, Lease, LeaseError, current_driver
from trainables.trial.storage import Folder, LocalFolder, RemoteFolder

HOLD = """
import sys, time
from orchestrator.store.lease import Lease
from trainables.trial.storage import open_folder
with Lease(open_folder(sys.argv[1]), "renyi run small"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["local", "remote"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "local":
        return LocalFolder(tmp_path / "sweep")
    (tmp_path / "sweep").mkdir()
    return RemoteFolder(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "sweep", "test://sweep")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds made tenths."""
    monkeypatch.setattr(module, "HEARTBEAT", 0.1)
    monkeypatch.setattr(module, "EXPIRY", 0.6)


def elsewhere(folder: Folder, silent: float = 0.0, number: int = 1) -> Driver:
    """Leave the lease of a driver on another machine."""
    now = time.time()
    driver = Driver("renyi run small", "far", "another machine", 77, "123", now - 100, now - silent)
    (folder / "driver").write(f"{number:06d}.json", json.dumps(asdict(driver)).encode())
    return driver


def leases(folder: Folder) -> list[str]:
    return (folder / "driver").names()


def test_the_second_driver_learns_who_works(folder: Folder) -> None:
    with Lease(folder, "renyi run small"):
        with pytest.raises(LeaseError) as refusal, Lease(folder, "renyi retry small"):
            pytest.fail("two drivers at once")
        message = str(refusal.value)
        assert "another driver works on this sweep: `renyi run small` on " in message
        assert "since 20" in message
        assert "last heartbeat 0 s ago" in message
        assert "\n" not in message
    driver = current_driver(folder)
    assert driver is not None
    assert driver.ended
    with Lease(folder, "renyi retry small"):
        assert leases(folder) == ["000002.json"]


def test_a_driver_that_was_killed_here_is_followed_at_once(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(LeaseError, match=f"process {holder.pid}, since"):
        Lease(LocalFolder(tmp_path), "second").__enter__()
    holder.kill()  # and not waited for: a zombie is gone too
    deadline = time.monotonic() + 10
    while (driver := current_driver(LocalFolder(tmp_path))) is None or not driver.is_gone:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    started = time.monotonic()
    with Lease(LocalFolder(tmp_path), "third"):
        assert time.monotonic() - started < 2
    holder.wait()
    holder.stdout.close()


def test_a_later_process_with_the_same_number_is_another(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    with Lease(folder, "first"):
        driver = current_driver(folder)
    assert driver is not None
    reused = replace(driver, ended=False, process_started="1")
    assert reused.is_gone
    assert not replace(driver, ended=False).is_gone


def test_a_driver_elsewhere_counts_as_long_as_its_heart_beats(folder: Folder) -> None:
    elsewhere(folder, silent=module.EXPIRY / 2)
    with pytest.raises(LeaseError, match=r"on far, process 77, since .* last heartbeat 30 s ago"):
        Lease(folder, "second").__enter__()


@pytest.mark.usefixtures("soon")
def test_a_silent_driver_elsewhere_is_followed(folder: Folder) -> None:
    elsewhere(folder, silent=3600)
    with Lease(folder, "second"):
        assert leases(folder) == ["000002.json"]


@pytest.mark.usefixtures("soon")
def test_a_driver_whose_clock_is_an_hour_behind_is_seen_to_be_alive(folder: Folder) -> None:
    driver = elsewhere(folder, silent=3600)
    beat = replace(driver, heartbeat=driver.heartbeat + 10)
    timer = threading.Timer(0.05, lambda: (folder / "driver").write("000001.json", json.dumps(asdict(beat)).encode()))
    timer.start()
    with pytest.raises(LeaseError, match="on far"):
        Lease(folder, "second").__enter__()


@pytest.mark.usefixtures("soon")
def test_a_lease_that_nobody_lived_to_write_is_void_after_a_while(folder: Folder) -> None:
    (folder / "driver").write("000001.json", b"")
    with Lease(folder, "second"):
        assert leases(folder) == ["000002.json"]


@pytest.mark.usefixtures("soon")
def test_the_heart_beats(folder: Folder) -> None:
    with Lease(folder, "first"):
        beats = set()
        for _ in range(10):
            driver = current_driver(folder)
            assert driver is not None
            beats.add(driver.heartbeat)
            time.sleep(0.1)
    assert len(beats) > 3


@pytest.mark.usefixtures("soon")
def test_a_driver_that_was_replaced_is_interrupted_and_touches_nothing(folder: Folder) -> None:
    with Interrupts(), Lease(folder, "first") as lease:
        lease.check()
        successor = elsewhere(folder, number=2)
        with pytest.raises(KeyboardInterrupt):
            time.sleep(10)
        with pytest.raises(LeaseError, match="taken over by `renyi run small` on far"):
            lease.check()
    assert current_driver(folder) == successor


CONTEND = """
import sys, time
from pathlib import Path
from pyarrow import fs
from orchestrator.store.lease import Lease, LeaseError
from trainables.trial.storage import LocalFolder, RemoteFolder
kind, place, record = sys.argv[1:]
folder = LocalFolder(Path(place) / "sweep")
if kind == "remote":
    folder = RemoteFolder(fs.SubTreeFileSystem(place, fs.LocalFileSystem()), "sweep", "test://sweep")
log = open(record, "a", buffering=1)
deadline = time.monotonic() + 2
while time.monotonic() < deadline:
    try:
        with Lease(folder, "contender"):
            log.write("in\\n")
            time.sleep(0.02)
            log.write("out\\n")
    except LeaseError:
        time.sleep(0.005)
"""


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_of_many_that_start_together_one_works_at_a_time(tmp_path: Path, kind: str) -> None:
    (tmp_path / "sweep").mkdir()
    record = tmp_path / "record"
    arguments = [sys.executable, "-c", CONTEND, kind, str(tmp_path), str(record)]
    contenders = [subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for contender in contenders:
        _, complaints = contender.communicate(timeout=60)
        assert contender.returncode == 0, complaints
    lines = record.read_text().split()
    assert len(lines) >= 6
    assert lines == ["in", "out"] * (len(lines) // 2)


def test_what_is_kept_can_be_read_by_people(tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with Lease(LocalFolder(tmp_path), "renyi run small"):
        (path,) = (tmp_path / "driver").iterdir()
        assert json.loads(path.read_text())["command"] == "renyi run small"
    assert signal.getsignal(signal.SIGINT) is handler
