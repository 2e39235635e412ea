"""The storage fills up, can't be written, is wanted by two drivers, moves, or loses its driver again and again."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.load import load
from orchestrator.store.lease import current_driver
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import LAYOUT_FILE, MEASURED_FILE, TrialState
from tests.faults.drivers import check_record, finished, run, start, wait_for
from tests.faults.small_disk import resize, set_writable, small_disk
from trainables.trial.folder import TRAINED_FILE
from trainables.trial.storage import open_folder

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

SweepFile = Callable[..., Path]
EIGHT = ("[1e-4, 1e-3]", "[1e-5, 1e-4, 1e-3, 1e-2]")


@pytest.mark.parametrize("executor", ["inline", "ray"])
def test_a_full_disk_stops_in_one_line_and_the_same_command_goes_on(
    tmp_path: Path, sweep_file: SweepFile, executor: str
) -> None:
    with small_disk(tmp_path / "disk", kilobytes=200) as disk:
        path = sweep_file(
            ("name: small", f"name: small\nstorage: {disk}/renyi\ntracking: sqlite:///{tmp_path}/own.db"), EIGHT
        )
        exit_code, output = run(path, executor=executor)
        assert exit_code == 2, output
        print(output)  # shown where the test fails
        (line,) = (line for line in output.splitlines() if line.startswith(f"{disk}/renyi/small/"))
        assert "can't be written: No space left on device" in line
        assert " MB free of 0.2 MB); free some space, then give the same command" in line
        assert "Traceback" not in output
        counts = make_plan(load(str(path))).counts
        assert counts[TrialState.FAILED] == 0
        assert counts[TrialState.MEASURED] < 8
        before = finished(disk)

        resize(disk, 64_000)
        exit_code, output = run(path, executor=executor)
        assert exit_code == 0, output
        assert {name: when for name, when in finished(disk).items() if name in before} == before
        check_record(path)


def test_a_disk_that_can_no_longer_be_written(tmp_path: Path, sweep_file: SweepFile) -> None:
    with small_disk(tmp_path / "disk", kilobytes=64_000) as disk:
        path = sweep_file(
            ("name: small", f"name: small\nstorage: {disk}/renyi\ntracking: sqlite:///{tmp_path}/own.db"), EIGHT
        )
        driver = start(path)
        wait_for(lambda: bool(list(disk.rglob(MEASURED_FILE))), driver)
        while True:  # while a file is open for writing the system says no
            try:
                set_writable(disk, False)
                break
            except subprocess.CalledProcessError:
                time.sleep(0.01)
        output, _ = driver.communicate(timeout=600)
        assert driver.returncode == 2, output
        assert "Read-only file system" in output
        assert "restore the permission to write there, then give the same command" in output
        assert "Traceback" not in output
        refused, said = run(path)
        assert refused == 2
        assert len(said.splitlines()) == 1, said

        set_writable(disk, True)
        exit_code, output = run(path)
        assert exit_code == 0, output
        assert make_plan(load(str(path))).counts == {TrialState.MEASURED: 8}
        check_record(path)


def test_the_second_of_two_drivers_is_refused(storage: Path, sweep_file: SweepFile) -> None:
    path = sweep_file(("epochs: 2", "epochs: 6"))
    first = start(path)
    wait_for(lambda: bool(list(storage.rglob("*.pt"))), first)
    for command in ("run", "retry"):
        exit_code, output = run(path, command)
        assert exit_code == 2
        assert len(output.splitlines()) == 1, output
        assert f"another driver works on this sweep: `renyi run {path}` on " in output
        assert f"process {first.pid}, since " in output
    output, _ = first.communicate(timeout=600)
    assert first.returncode == 0, output
    check_record(path)


def test_two_drivers_that_start_at_once(storage: Path, sweep_file: SweepFile) -> None:
    path = sweep_file()
    drivers = [start(path), start(path)]
    outputs = [driver.communicate(timeout=600)[0] for driver in drivers]
    assert sorted(driver.returncode for driver in drivers) == [0, 2], outputs
    check_record(path)


def test_a_driver_that_is_replaced_while_it_stands_still_stops(storage: Path, sweep_file: SweepFile) -> None:
    path = sweep_file(("epochs: 2", "epochs: 60"))
    driver = start(path)
    wait_for(lambda: bool(list(storage.rglob("*.pt"))), driver)
    lease = open_folder(str(storage / "small" / "driver"))
    (name,) = lease.names()
    os.kill(driver.pid, signal.SIGSTOP)
    successor = lease.read(name).replace(str(driver.pid).encode(), b"1")
    lease.write(f"{int(name[:6]) + 1:06d}.json", successor)
    os.kill(driver.pid, signal.SIGCONT)
    output, _ = driver.communicate(timeout=600)
    assert driver.returncode == 2, output
    assert "taken over by `renyi run " in output
    assert "Traceback" not in output


def test_a_driver_that_dies_again_and_again_leaves_one_run_a_trial(storage: Path, sweep_file: SweepFile) -> None:
    path = sweep_file(("epochs: 2", "epochs: 8"))
    moments = random.Random(0)
    for _ in range(4):
        driver = start(path)
        there = len(list(storage.rglob("*.json")))
        wait_for(lambda there=there: len(list(storage.rglob("*.json"))) > there + 1, driver)  # type: ignore[misc]
        time.sleep(moments.uniform(0, 2))
        driver.kill()
        driver.communicate()
    before = finished(storage)
    exit_code, output = run(path)
    assert exit_code == 0, output
    assert {name: when for name, when in finished(storage).items() if name in before} == before
    check_record(path)
    ended = current_driver(open_folder(str(storage / "small")))
    assert ended is not None
    assert ended.ended


def test_storage_that_was_moved_goes_on_where_it_is(tmp_path: Path, sweep_file: SweepFile) -> None:
    old, new = tmp_path / "old", tmp_path / "elsewhere" / "new"
    path = sweep_file(("name: small", f"name: small\nstorage: {old}"), name="old.yaml")
    exit_code, output = run(path)
    assert exit_code == 0, output
    done = finished(old)
    (old / "small" / LAYOUT_FILE).unlink()  # as a store from before that file
    new.parent.mkdir()
    old.rename(new)

    moved = sweep_file(("name: small", f"name: small\nstorage: {new}"), name="new.yaml")
    exit_code, output = run(moved)
    assert exit_code == 0, output
    assert "0 trained, 0 measured; 4 trials in all" in output
    assert finished(new) == done
    assert not old.exists()
    check_record(moved)
    assert (new / "small" / LAYOUT_FILE).exists()
    assert len(list(new.rglob(TRAINED_FILE))) == 4
