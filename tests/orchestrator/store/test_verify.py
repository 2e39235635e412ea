"""Every kind of file in a store, damaged in every way: seen, named, and removed so that exactly that is missing."""

import io
import os
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store import lease as lease_module
from orchestrator.store.activity import ActivityFile
from orchestrator.store.closing import REHEARSALS_FOLDER, close_sweep, reopen_sweep
from orchestrator.store.known_sets import SETS_FILE
from orchestrator.store.lease import Lease
from orchestrator.store.plan import make_plan
from orchestrator.store.repair import remove
from orchestrator.store.trial_store import TrialState, TrialStore
from orchestrator.store.verify import Verification, verify_sweep
from tests import damage
from tests.conftest import made_once
from tests.damage import Damage
from tests.end_to_end.test_earlier_version import FIXTURES, LAYOUTS
from tests.orchestrator.made_up import ONE_MEASURE, SHIFTED, fail, finish, outcome
from trainables.trial.code import Code
from trainables.trial.folder import (
    CODE_FILE,
    LAST_CHECKPOINT,
    MEASURED_FILE,
    SPEC_FILE,
    TRAINED_FILE,
    WORKER_FILE,
    write_json,
)
from trainables.trial.manifest import checked
from trainables.trial.seal import seal_zip, sealed_json, unsealed_json
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import Folder, open_folder

REPORT = ("report.html", "tau.csv")


@pytest.fixture
def config(storage: Path, sweep_file: Callable[..., Path]) -> SweepConfig:
    text = ("resources:", "shifts: [noise_3, blur_1]\nresources:")
    return load(str(sweep_file(ONE_MEASURE, text)))


def store_in(folder: Path, config: SweepConfig, specs: list[TrialSpec]) -> None:
    """A store in which three trials are measured and one has failed, as a driver leaves it."""
    store = TrialStore(str(folder), config.sharpness.measurement_id, config.shifts)
    with Lease(store.folder, "renyi run small") as lease:
        store.mark_layout()
        write_json(store.folder, SETS_FILE, {"sets": [], "made in": str(folder)})
        write_json(store.folder / REHEARSALS_FOLDER, "0123456789abcdef.json", {"my_nets.py": f"digest in {folder}"})
        with ActivityFile(store.folder):
            for spec in specs:
                trial = store.trial(spec.trial_id)
                trial.claim()
                trial.write_spec(spec)
                trial.write_code(Code("0.3.0", f"made in {folder}"))
                trial.write_run_id("sqlite:///mlflow.db", f"run of {spec.trial_id} in {folder}")
            finish(store, specs[:3], config.sharpness)
            for spec in specs[:3]:
                for shift in config.shifts:
                    store.trial(spec.trial_id).write_shift(shift, SHIFTED)
            fail(store, specs[3], f"DivergedError in {folder}")
        report = checked(store.folder / "report")
        for name in REPORT:
            report.write(name, f"{name} in {folder}".encode())
        report.list_files(REPORT)
        close_sweep(store.folder, lease.number)
        lease.closed = True


@pytest.fixture
def older(config: SweepConfig, specs: list[TrialSpec], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep's folder as it was at an earlier time."""
    return made_once(tmp_path_factory, "older", lambda folder: store_in(folder, config, specs))


@pytest.fixture
def store(
    config: SweepConfig, specs: list[TrialSpec], older: Path, tmp_path_factory: pytest.TempPathFactory
) -> TrialStore:
    made = made_once(tmp_path_factory, "sound", lambda folder: store_in(folder, config, specs))
    shutil.copytree(made, config.folder)
    return TrialStore(config.folder, config.sharpness.measurement_id, config.shifts)


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged lease is void at once."""
    monkeypatch.setattr(lease_module, "EXPIRY", 0.0)


def work(folder: Folder) -> None:
    """What every driver does before it changes anything."""
    with Lease(folder, "renyi run small"):
        reopen_sweep(folder)


def verify(config: SweepConfig, fast: bool = False) -> Verification:
    return verify_sweep(open_folder(config.folder), fast)


def test_a_sound_store_has_no_damage(store: TrialStore, config: SweepConfig) -> None:
    for fast in (False, True):
        found = verify(config, fast)
        assert (found.damages, found.unverifiable) == ([], [])
    assert found.files > 40


def test_every_kind_of_file_and_damage_is_named_and_removed(
    store: TrialStore, config: SweepConfig, specs: list[TrialSpec], older: Path
) -> None:
    folder, earlier = Path(config.folder), damage.files(older)
    sound, draw = damage.files(folder), random.Random(5)
    lease = unsealed_json("000001.json", sound["driver/000001.json"])
    earlier["driver/000001.json"] = sealed_json("000001.json", {**lease, "ended": False, "closed": False})
    closing = unsealed_json("manifest.json", sound["manifest.json"])
    earlier["manifest.json"] = sealed_json("manifest.json", {**closing, "driver": 0})
    first, second = specs[0].trial_id, specs[1].trial_id
    chosen = [path for path in sound if second not in path and specs[2].trial_id not in path]
    cases = 0
    for path in chosen:
        counterpart = sound.get(path.replace(first, second))
        for kind in Damage:
            if kind is Damage.OLDER and earlier[path] == sound[path]:
                continue
            if kind in (Damage.OLDER, Damage.DELETE) and path.startswith(REHEARSALS_FOLDER):
                continue  # it says of which code it is, and without it the rehearsal is repeated
            if kind is Damage.FOREIGN and counterpart in (None, sound[path]):
                continue
            damage.do(kind, folder / path, draw, earlier[path], counterpart)
            found = verify(config).damages
            assert path in [each.path for each in found], (path, kind, found)
            remove(open_folder(config.folder), found)
            work(store.folder)
            assert verify(config).damages == [], (path, kind)
            damage.restore(folder, sound)
            cases += 1
    assert cases > 80
    assert verify(config).damages == []


def test_the_older_of_two_versions_is_the_one_that_is_named(
    store: TrialStore, config: SweepConfig, specs: list[TrialSpec], older: Path
) -> None:
    inside = f"trials/{specs[0].trial_id}/measurements/{config.sharpness.measurement_id}"
    for name in ("manifest.json", MEASURED_FILE):
        sound = damage.files(Path(config.folder))
        shutil.copy(older / inside / name, Path(config.folder) / inside / name)
        work(store.folder)
        (found,) = verify(config).damages
        assert found.path == f"{inside}/{name}"
        assert "an older version, of 20" in found.reason
        damage.restore(Path(config.folder), sound)


def test_what_is_removed_is_what_is_missing_then(
    store: TrialStore, config: SweepConfig, specs: list[TrialSpec]
) -> None:
    trial = store.trial(specs[0].trial_id)
    measurement = store.measurement(specs[0].trial_id)
    removals: list[tuple[Folder, str, TrialState]] = [
        (trial.folder, "spec.json", TrialState.PENDING),
        (trial.folder, TRAINED_FILE, TrialState.PENDING),
        (trial.folder, "manifest.json", TrialState.PENDING),
        (trial.folder, CODE_FILE, TrialState.PENDING),
        (trial.folder, WORKER_FILE, TrialState.MEASURED),
        (measurement, "spectra.parquet", TrialState.TRAINED),
        (measurement, MEASURED_FILE, TrialState.TRAINED),
        (trial.shifts, "noise_3.json", TrialState.MEASURED),
    ]
    sound = damage.files(Path(config.folder))
    for folder, name, state in removals:
        folder.delete(name)
        assert remove(store.folder, verify(config).damages) == [specs[0].trial_id]
        plan = make_plan(config)
        assert plan.states[specs[0].trial_id] is state, name
        others = [plan.states[spec.trial_id] for spec in specs[1:]]
        assert others == [TrialState.MEASURED, TrialState.MEASURED, TrialState.FAILED]
        missing = {"noise_3.json": ("noise_3",)}.get(name, ())
        assert state is TrialState.PENDING or plan.missing_shifts[specs[0].trial_id] == missing, name
        damage.restore(Path(config.folder), sound)


def test_fast_looks_at_size_and_date(store: TrialStore, config: SweepConfig, specs: list[TrialSpec]) -> None:
    path = Path(store.measurement(specs[0].trial_id).uri) / "spectra.parquet"
    data, when = path.read_bytes(), path.stat().st_mtime_ns
    flipped = bytes([data[0] ^ 1]) + data[1:]
    path.write_bytes(flipped)
    assert [each.path.rpartition("/")[2] for each in verify(config, fast=True).damages] == [path.name]
    os.utime(path, ns=(when, when))
    assert verify(config, fast=True).damages == []
    assert len(verify(config).damages) == 1
    path.write_bytes(data[:-1])
    os.utime(path, ns=(when, when))
    assert len(verify(config, fast=True).damages) == 1


def test_a_whole_trial_that_is_gone_is_seen(store: TrialStore, config: SweepConfig, specs: list[TrialSpec]) -> None:
    shutil.rmtree(Path(config.folder) / "trials" / specs[1].trial_id)
    assert f"trials/{specs[1].trial_id}/manifest.json" in [each.path for each in verify(config).damages]


def test_measurements_and_shifts_of_other_weights_are_seen(
    store: TrialStore, config: SweepConfig, specs: list[TrialSpec]
) -> None:
    trial = store.trial(specs[0].trial_id)
    trial.write_shift("noise_3", SHIFTED, "weights of a year ago")
    trial.folder.complete(TRAINED_FILE, {**asdict(outcome()), "weights": "present weights"}, [SPEC_FILE])
    work(store.folder)
    found, *others = verify(config).damages
    assert others == []
    assert found.path.endswith("shifts/noise_3.json")
    assert "was made from weights weights of a year ago; the trial has present weights" in found.reason


def test_an_interrupted_trial_is_checked_too(store: TrialStore, specs: list[TrialSpec], config: SweepConfig) -> None:
    trial = store.trial("0105ba9dbfe1")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("data.pkl", b"weights")
    for of, problems in (("0105ba9dbfe1", []), ("ffffffffffff", ["found one of ffffffffffff"])):
        sealed = io.BytesIO(archive.getvalue())
        seal_zip(sealed, of)
        trial.folder.write(LAST_CHECKPOINT, sealed.getvalue())
        assert [each.reason.partition(", ")[2] for each in verify(config).damages] == problems
    trial.folder.write(LAST_CHECKPOINT, archive.getvalue()[:-30])
    trial.write_spec(specs[0])
    assert {each.path.rpartition("/")[2] for each in verify(config).damages} == {LAST_CHECKPOINT, SPEC_FILE}


def test_a_store_of_an_earlier_version_is_not_verifiable_but_what_can_not_be_read_is_named(tmp_path: Path) -> None:
    with tarfile.open(FIXTURES / LAYOUTS["before"]) as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / "renyi" / "before"
    before = damage.files(folder)
    found = verify_sweep(open_folder(str(folder)))
    assert found.damages == []
    assert len(found.unverifiable) >= 2
    assert damage.files(folder) == before
    names = (TRAINED_FILE, MEASURED_FILE, "measurements.parquet", LAST_CHECKPOINT)
    paths = [next(folder.rglob(name)) for name in names]
    for path in paths:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = verify_sweep(open_folder(str(folder)))
    assert {each.path for each in found.damages} == {str(path.relative_to(folder)) for path in paths}
