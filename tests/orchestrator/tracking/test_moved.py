"""Several storages, one database and one name: what was moved is followed, the rest refused before anything changes."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.store.trial_store import TrialStore
from orchestrator.tracking.experiment import open_experiment, recorded_sweep
from orchestrator.tracking.moved import claim
from orchestrator.tracking.run import TrialRuns
from tests.orchestrator.made_up import ONE_MEASURE, finish
from trainables.trial.storage import join

NUMBERED = itertools.count()
At = Callable[..., SweepConfig]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> str:
    """The address of a database that all tests share, each with a sweep of its own."""
    return f"sqlite:///{shutil.copy(empty_database, tmp_path_factory.mktemp('database'))}"


@pytest.fixture
def at(database: str, sweep_file: Callable[..., Path], tmp_path: Path) -> At:
    """A sweep of this test, in a storage, with the shared database unless another is named."""
    path = sweep_file(ONE_MEASURE, ("name: small", f"name: small-{next(NUMBERED)}"))

    def load_at(name: str, tracking: str | None = database) -> SweepConfig:
        return load(str(path), str(tmp_path / name), tracking)

    return load_at


def measure(config: SweepConfig, number: int = 1) -> None:
    """Finish trials in the store, and log them."""
    specs = expand(config)
    store = TrialStore(config.folder, config.sharpness.measurement_id)
    finish(store, specs[:number], config.sharpness)
    runs = TrialRuns(open_experiment(config), config, store, specs)
    for spec in specs[:number]:
        runs.sync(spec.trial_id)


def addresses(config: SweepConfig) -> set[str]:
    client = MlflowClient(config.tracking_uri)
    experiment = client.get_experiment_by_name(config.name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    return {experiment.artifact_location, *(run.info.artifact_uri.partition("/mlartifacts/")[0] for run in runs)}


def test_a_second_storage_of_the_same_name_is_refused_and_the_first_stays_as_it_is(at: At, tmp_path: Path) -> None:
    first, second = at("first"), at("second")
    measure(first)
    before = addresses(first)
    for action in (open_experiment, recorded_sweep, open_experiment):
        with pytest.raises(UsageError) as told:
            action(second)
        (message,) = told.value.problems
        assert "\n" not in message
        assert f"has its files in {tmp_path}/first" in message
        assert f"have not been moved to {tmp_path}/second" in message
        assert f"--storage {tmp_path}/first" in message
        assert "--tracking" in message
        store = TrialStore(second.folder, second.sharpness.measurement_id)
        finish(store, expand(second)[:1], second.sharpness)
        store.trial(expand(second)[0].trial_id).write_run_id("elsewhere", "in another database")
    assert addresses(first) == before
    assert recorded_sweep(first).states == {"measured": 1, "pending": 3}
    assert not recorded_sweep(first).remarks


def test_a_moved_storage_is_followed_by_a_report_and_by_a_run(at: At, tmp_path: Path) -> None:
    first, second = at("first"), at("second")
    measure(first)
    Path(first.storage).rename(second.storage)
    assert recorded_sweep(second).states["measured"] == 1
    open_experiment(second)
    assert recorded_sweep(second).states["measured"] == 1
    location = f"file://{tmp_path}/second"
    assert addresses(second) == {location, f"{location}/mlartifacts/{second.name}"}


def test_a_copy_with_its_own_database_goes_its_own_way(at: At, tmp_path: Path, empty_database: Path) -> None:
    first, second = at("first", None), at("second", None)
    Path(first.storage).mkdir()
    shutil.copy(empty_database, Path(first.storage) / "mlflow.db")
    measure(first)
    shutil.copytree(first.storage, second.storage)
    measure(second, 3)
    assert recorded_sweep(second).states == {"measured": 3, "pending": 1}
    shutil.rmtree(second.storage)
    assert recorded_sweep(first).states == {"measured": 1, "pending": 3}


def test_a_copy_with_a_shared_database_is_refused_until_the_original_is_gone(at: At, tmp_path: Path) -> None:
    first, second = at("first"), at("second")
    measure(first)
    shutil.copytree(first.storage, second.storage)
    with pytest.raises(UsageError, match=f"if {second.storage} is a copy to go on with, move {first.storage} away"):
        open_experiment(second)
    Path(first.storage).rename(tmp_path / "aside")
    measure(second, 3)
    assert recorded_sweep(second).states == {"measured": 3, "pending": 1}


def test_a_storage_by_another_path_is_the_same(at: At, tmp_path: Path) -> None:
    first, second = at("first"), at("second")
    measure(first)
    Path(second.storage).symlink_to(first.storage)
    measure(second, 3)
    for config in (first, second):
        assert recorded_sweep(config).states == {"measured": 3, "pending": 1}


def test_a_storage_that_is_away_is_not_replaced_by_an_empty_one(at: At, tmp_path: Path) -> None:
    first, second = at("first"), at("second")
    measure(first)
    Path(first.storage).rename(tmp_path / "unmounted")
    with pytest.raises(UsageError, match=f"neither there nor in {second.storage}; mount or restore that folder"):
        open_experiment(second)
    (tmp_path / "unmounted").rename(first.storage)
    assert recorded_sweep(first).states["measured"] == 1


def test_a_sweep_without_trials_goes_where_its_file_says(at: At, tmp_path: Path) -> None:
    open_experiment(at("first"))
    measure(at("second"))
    assert recorded_sweep(at("second")).states["measured"] == 1


def test_a_tracking_server_knows_the_storage_of_a_sweep_too(at: At, tmp_path: Path) -> None:
    first, second = at("first"), at("second")
    measure(first)
    client = MlflowClient(first.tracking_uri)
    experiment = client.get_experiment_by_name(first.name)
    assert experiment is not None
    through_server = second.model_copy(update={"tracking": "http://mlflow:5000"})
    with pytest.raises(UsageError, match=f"go on with the first by --storage {first.storage}"):
        claim(through_server, client, experiment)
    Path(first.storage).rename(second.storage)
    claim(through_server, client, experiment)
    moved = client.get_experiment_by_name(first.name)
    assert moved is not None
    assert moved.tags["renyi.storage"] == second.storage == join(str(tmp_path), "second")
