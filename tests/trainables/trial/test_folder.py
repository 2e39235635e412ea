"""The files of a trial: outcome, claim, run and failure, each read as it was written."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from trainables.errors import DamagedError, ReplacedError
from trainables.trial.code import Code
from trainables.trial.folder import (
    CODE_FILE,
    LAST_CHECKPOINT,
    SPEC_FILE,
    TRAINED_FILE,
    WORKER_FILE,
    EpochMetrics,
    Failure,
    Generalization,
    ShiftedTest,
    Trained,
    TrialFolder,
    read_failure,
    write_failure,
)
from trainables.trial.manifest import MANIFEST_FILE
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import LocalFolder

EPOCH = EpochMetrics(0, 0.1, 1.0, 2.0, 0.5, 1.5, 1000.0, system={"cpu_utilization_percentage": 50.0})
RESULT = Generalization(0.1, 0.03, 1.0, 0.0, 0.3, 0.04, 0.9, 0.03)


@pytest.fixture
def trial(tmp_path: Path) -> TrialFolder:
    return TrialFolder(LocalFolder(tmp_path / "trial"))


def test_the_outcome_is_read_as_it_was_written(trial: TrialFolder) -> None:
    with pytest.raises(FileNotFoundError):
        trial.read_trained()
    trained = Trained([EPOCH, replace(EPOCH, epoch=1, seconds=2.0)], RESULT)
    trial.write_trained(trained)
    assert trial.read_trained() == trained
    assert trained.seconds == 3.5


def test_an_outcome_from_before_an_optional_field_is_read(trial: TrialFolder) -> None:
    written = asdict(Trained([EPOCH], RESULT))
    for name in ("validation_accuracy", "system"):
        del written["history"][0][name]
    del written["weights"]
    trial.folder.write(TRAINED_FILE, json.dumps(written).encode())
    assert trial.read_trained().history == [replace(EPOCH, system={})]


def test_gaps_are_test_against_training_with_the_errors_of_both() -> None:
    assert RESULT.gap_loss == pytest.approx(0.2)
    assert RESULT.gap_error == pytest.approx(0.1)
    assert RESULT.gap_loss_stderr == pytest.approx(0.05)
    assert RESULT.gap_error_stderr == pytest.approx(0.03)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"versions": 3}', b'{"versions": [{"version": "0.3"}]}', None]
)
def test_damaged_code_is_named_and_not_taken_for_none(trial: TrialFolder, content: bytes | None) -> None:
    code = Code("0.3.0", "abc")
    assert trial.read_code() == []
    trial.write_code(code)
    trial.write_trained(Trained([EPOCH], RESULT))
    assert trial.read_code() == [code]
    for finished in (True, False):
        if not finished:
            trial.folder.delete(MANIFEST_FILE)
        if content is not None:
            trial.folder.write(CODE_FILE, content)
        elif finished:
            trial.folder.delete(CODE_FILE)
        else:
            return
        with pytest.raises(DamagedError, match=r"code\.json is damaged"):
            TrialFolder(LocalFolder(Path(trial.folder.uri))).read_code()


def test_code_that_was_written_before_seals_is_read(trial: TrialFolder) -> None:
    trial.folder.write(CODE_FILE, json.dumps({"versions": [Code("0.2.9", "abc").to_json()]}).encode())
    assert trial.read_code() == [Code("0.2.9", "abc")]


def test_training_that_starts_again_forgets_with_which_code_it_had_begun(trial: TrialFolder) -> None:
    trial.write_code(Code("0.2.9", "abc"))
    trial.start_again()
    assert trial.read_code() == []


def test_the_best_epoch_is_chosen_by_validation_where_there_is_one() -> None:
    assert EPOCH.choice == 0.5
    assert replace(EPOCH, validation_accuracy=0.4).choice == 0.4


def test_the_last_worker_to_claim_a_trial_has_it(trial: TrialFolder, tmp_path: Path) -> None:
    trial.claim()
    trial.check()
    unfinished = tmp_path / "trial" / f".{LAST_CHECKPOINT}.{'0' * 32}"
    unfinished.write_bytes(b"a writer killed half way")
    other = TrialFolder(trial.folder)
    other.claim()
    other.check()
    assert not unfinished.exists()
    with pytest.raises(ReplacedError, match=trial.folder.uri):
        trial.check()
    assert json.loads(trial.folder.read(WORKER_FILE))["process"]


def test_a_run_belongs_to_one_tracking_address(trial: TrialFolder) -> None:
    assert trial.read_run_id("http://a") is None
    trial.write_run_id("http://a", "run1")
    assert trial.read_run_id("http://a") == "run1"
    assert trial.read_run_id("http://b") is None


def test_the_spec_is_kept(trial: TrialFolder) -> None:
    spec = TrialSpec.model_validate(
        {
            "data": {"dataset": "digits"},
            "model": "digits_cnn",
            "training": {"epochs": 1, "batch_size": 8},
            "optimizer": {"name": "adam", "learning_rate": 0.1},
        }
    )
    trial.write_spec(spec)
    assert TrialSpec.model_validate_json(trial.folder.read(SPEC_FILE)) == spec


def test_a_failure_has_one_line_and_the_traceback(trial: TrialFolder) -> None:
    try:
        raise ValueError("too\nbad")
    except ValueError as error:
        failure = Failure.of("measuring", error)
    assert failure.reason == "ValueError: too"
    assert "Traceback" in failure.traceback
    write_failure(trial.folder, failure)
    assert read_failure(trial.folder) == failure


def test_results_under_shifts_are_read_by_their_names(trial: TrialFolder) -> None:
    assert trial.read_shifts() == {}
    results = {
        "noise_3": ShiftedTest(0.08, 0.5, 0.1, 0.8, 0.05, 7.0),
        "blur_1": ShiftedTest(0.4, 0.3, 0.1, 0.9, 0.02, 8.0),
    }
    for name, result in results.items():
        trial.write_shift(name, result)
    write_failure(trial.shifts, Failure("shifts", "ValueError: no"))
    assert trial.shift_names() == ["blur_1", "noise_3"]
    assert trial.read_shifts() == results
