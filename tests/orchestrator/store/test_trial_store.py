import json
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.store.trial_store import LAYOUT, LAYOUT_FILE, MEASURED_FILE, TrialState, TrialStore
from tests.orchestrator.made_up import SHIFTED
from trainables.trial.folder import LAST_CHECKPOINT, TRAINED_FILE, Failure, write_failure
from trainables.trial.specs import TrialSpec

SPEC = TrialSpec.model_validate(
    {
        "data": {"dataset": "digits"},
        "model": "digits_cnn",
        "training": {"epochs": 1, "batch_size": 8},
        "optimizer": {"name": "adam", "learning_rate": 0.1},
    }
)
TRIAL = SPEC.trial_id


@pytest.fixture
def store(tmp_path: Path) -> TrialStore:
    return TrialStore(str(tmp_path), "settings1")


def test_the_state_follows_the_files(store: TrialStore) -> None:
    folder = store.trial(TRIAL).folder
    assert store.states([SPEC]) == {TRIAL: TrialState.PENDING}
    folder.write(LAST_CHECKPOINT, b"")
    assert store.state(TRIAL) is TrialState.TRAINING
    folder.write(TRAINED_FILE, b"{}")
    assert store.state(TRIAL) is TrialState.TRAINED
    store.measurement(TRIAL).write(MEASURED_FILE, b"{}")
    assert store.states([SPEC]) == {TRIAL: TrialState.MEASURED}


def test_measurements_with_other_settings_do_not_count(store: TrialStore, tmp_path: Path) -> None:
    store.trial(TRIAL).folder.write(TRAINED_FILE, b"{}")
    store.measurement(TRIAL).write(MEASURED_FILE, b"{}")
    assert TrialStore(str(tmp_path), "settings2").state(TRIAL) is TrialState.TRAINED


@pytest.mark.parametrize("stage", ["training", "measuring"])
def test_a_failure_is_kept_until_it_is_forgotten(store: TrialStore, stage: str) -> None:
    failure = Failure.of(stage, ValueError("too\nbad"))
    trial = store.trial(TRIAL)
    if stage == "training":
        write_failure(trial.folder, failure)
    else:
        trial.folder.write(TRAINED_FILE, b"{}")
        write_failure(store.measurement(TRIAL), failure)
    assert store.state(TRIAL) is TrialState.FAILED
    assert store.failure(TRIAL) == failure
    assert failure.reason == "ValueError: too"
    store.forget_failure(TRIAL)
    assert store.state(TRIAL) is (TrialState.PENDING if stage == "training" else TrialState.TRAINED)


def test_a_store_says_its_layout(store: TrialStore) -> None:
    store.states([SPEC])  # a store from before the file
    store.mark_layout()
    assert json.loads(store.folder.read(LAYOUT_FILE))["layout"] == LAYOUT
    store.states([SPEC])


def test_a_store_of_a_newer_version_is_refused(store: TrialStore) -> None:
    store.folder.write(LAYOUT_FILE, json.dumps({"layout": LAYOUT + 1, "version": "9.8"}).encode())
    with pytest.raises(UsageError, match=f"has layout {LAYOUT + 1}, written by renyi-sharpness 9.8; version .* up to"):
        store.states([SPEC])


def test_shifts_that_are_asked_for_are_missing_until_they_are_there(tmp_path: Path) -> None:
    store = TrialStore(str(tmp_path), "settings1", ("noise_3", "blur_2"))
    assert store.missing_shifts(TRIAL) == ("noise_3", "blur_2")
    store.trial(TRIAL).write_shift("noise_3", SHIFTED)
    assert store.missing_shifts(TRIAL) == ("blur_2",)
    assert TrialStore(str(tmp_path), "settings2", ("noise_3",)).missing_shifts(TRIAL) == ()
    assert TrialStore(str(tmp_path), "settings1").missing_shifts(TRIAL) == ()


def test_a_shift_that_failed_fails_a_trial_of_a_sweep_that_asks_for_shifts(store: TrialStore, tmp_path: Path) -> None:
    asking = TrialStore(str(tmp_path), "settings1", ("noise_3",))
    failure = Failure("shifts", "ValueError: no")
    store.trial(TRIAL).folder.write(TRAINED_FILE, b"{}")
    store.measurement(TRIAL).write(MEASURED_FILE, b"{}")
    write_failure(store.trial(TRIAL).shifts, failure)
    assert (store.state(TRIAL), asking.state(TRIAL)) == (TrialState.MEASURED, TrialState.FAILED)
    assert asking.failure(TRIAL) == failure
    asking.forget_failure(TRIAL)
    assert asking.state(TRIAL) is TrialState.MEASURED
    with pytest.raises(FileNotFoundError, match=f"trial {TRIAL} did not fail"):
        asking.failure(TRIAL)


def test_what_killed_processes_left_is_removed_everywhere(store: TrialStore, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "report", tmp_path / "trials" / TRIAL, tmp_path / "trials" / TRIAL / "shifts"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f".worker.json.{'0' * 32}").touch()
        (folder / "kept.json").touch()
    store.clear()
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"kept.json"}
