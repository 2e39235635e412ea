"""One trained trial, measured by whichever actor comes: the same numbers, from the trial's own files."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from analysis.results.parquet import measurements_from_parquet
from analysis.schema import MEASUREMENTS_FILE, Measurement
from analysis.settings import SharpnessSettings
from orchestrator.executors.actor import SharpnessActor
from orchestrator.store.trial_store import MEASURED_FILE, TrialState, TrialStore
from tests.orchestrator.made_up import SHIFTED
from trainables.training.loop import train
from trainables.trial.folder import FAILED_FILE, INITIAL_CHECKPOINT, LAST_CHECKPOINT
from trainables.trial.specs import TrialSpec

SETTINGS = SharpnessSettings(
    samples=50,
    measures=("l2", "fisher_rao", "sam", "sam_n", "avg", "pacbayes_flat", "pacbayes_mag_init", "haar_loss"),
    worst_case={"sam": [0.05], "num_steps": 3},  # type: ignore[arg-type]
    average={"num_draws": 3},  # type: ignore[arg-type]
    haar={"num_draws": 3},  # type: ignore[arg-type]
)
SPEC = TrialSpec.model_validate(
    {
        "data": {"dataset": "digits"},
        "model": "digits_cnn_bn",
        "optimizer": {"name": "adam", "learning_rate": 0.01},
        "training": {"epochs": 3, "batch_size": 32},
    }
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    store = TrialStore(str(folder), SETTINGS.measurement_id)
    for _ in train(SPEC, store.trial(SPEC.trial_id), torch.device("cpu")):
        pass
    return folder


@pytest.fixture
def store(tmp_path: Path, trained: Path) -> TrialStore:
    """The trained trial, in a store of the test's own."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return TrialStore(str(tmp_path), SETTINGS.measurement_id)


def rows(store: TrialStore) -> list[Measurement]:
    return measurements_from_parquet(store.measurement(SPEC.trial_id).read(MEASUREMENTS_FILE))


def test_every_actor_measures_the_same_bits(store: TrialStore) -> None:
    found = []
    for _ in range(2):
        actor = SharpnessActor(store.folder.uri, SETTINGS, threads=1)
        for _ in range(2):  # and so does one that has measured before
            store.measurement(SPEC.trial_id).delete(MEASURED_FILE)
            assert actor.measure(SPEC)
            found.append(rows(store))
    assert found[0] == found[1] == found[2] == found[3]
    assert store.state(SPEC.trial_id) is TrialState.MEASURED
    assert all(row.value is not None for row in found[0])


def test_the_loss_of_the_measured_samples_is_kept_with_its_error(store: TrialStore) -> None:
    assert SharpnessActor(store.folder.uri, SETTINGS, threads=1).measure(SPEC)
    record = json.loads(store.measurement(SPEC.trial_id).read(MEASURED_FILE))
    whole = store.trial(SPEC.trial_id).read_trained().generalization
    spread = record["train_loss_subset_stderr"]
    assert abs(record["train_loss_subset"] - whole.train_loss) < 4 * spread
    assert spread == pytest.approx(whole.train_loss_stderr * (1000 / 50) ** 0.5, rel=1)


def test_initial_weights_that_are_gone_are_a_failure_with_its_reason(store: TrialStore, tmp_path: Path) -> None:
    (initial,) = tmp_path.rglob(INITIAL_CHECKPOINT)
    initial.unlink()
    assert not SharpnessActor(store.folder.uri, SETTINGS, threads=1).measure(SPEC)
    assert INITIAL_CHECKPOINT in store.failure(SPEC.trial_id).reason
    assert FAILED_FILE in store.measurement(SPEC.trial_id).names()


def test_only_the_shifts_that_are_missing_are_evaluated_and_nothing_is_measured_again(store: TrialStore) -> None:
    settings = SETTINGS.model_copy(update={"measures": ("l2",)})
    trial = store.trial(SPEC.trial_id)
    plain = SharpnessActor(store.folder.uri, settings, threads=1)
    assert plain.measure(SPEC)
    measured = plain._store.measurement(SPEC.trial_id).read(MEASURED_FILE)
    trial.write_shift("noise_3", SHIFTED)
    assert SharpnessActor(store.folder.uri, settings, 1, shifts=("noise_3", "blur_2")).measure(SPEC)
    assert plain._store.measurement(SPEC.trial_id).read(MEASURED_FILE) == measured
    found = trial.read_shifts()
    assert found["noise_3"] == SHIFTED
    assert found["blur_2"].test_loss > trial.read_trained().generalization.test_loss


def test_a_shift_that_fails_keeps_the_measurement_and_says_its_reason(store: TrialStore) -> None:
    settings = SETTINGS.model_copy(update={"measures": ("l2",)})
    assert SharpnessActor(store.folder.uri, settings, threads=1).measure(SPEC)
    asking = TrialStore(store.folder.uri, settings.measurement_id, ("noise_3",))
    checkpoint = asking.trial(SPEC.trial_id).folder.read(LAST_CHECKPOINT)
    asking.trial(SPEC.trial_id).folder.write(LAST_CHECKPOINT, b"damaged")
    actor = SharpnessActor(store.folder.uri, settings, 1, shifts=asking.shifts)
    assert not actor.measure(SPEC)
    assert asking.state(SPEC.trial_id) is TrialState.FAILED
    failure = asking.failure(SPEC.trial_id)
    assert (failure.stage, "last.pt is damaged: expected SHA-256 " in failure.reason) == ("shifts", True)
    asking.trial(SPEC.trial_id).folder.write(LAST_CHECKPOINT, checkpoint)
    assert actor.measure(SPEC)
    assert asking.state(SPEC.trial_id) is TrialState.MEASURED
