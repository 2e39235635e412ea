"""One sweep's name in a database, one storage: a storage that was moved is followed, another one is refused.

MLflow keeps the absolute address of artifacts with the experiment and again with every run, and has no call to change
either. Two storages that shared an experiment would share its runs, too: each would overwrite what the other logged.
"""

from collections.abc import Collection
from pathlib import Path
from urllib.parse import unquote, urlparse

from mlflow import MlflowClient
from mlflow.entities import Experiment as MLflowExperiment
from sqlalchemy import Engine, text

from analysis.address import names_a_host
from analysis.results.mlflow import search_runs
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.store.trial_store import TRIALS_FOLDER
from trainables.errors import DamagedError
from trainables.trial.folder import RUN_FILE, read_json
from trainables.trial.manifest import checked
from trainables.trial.storage import is_remote, join, open_folder

TAG_STORAGE = "renyi.storage"  # of an experiment
ARTIFACTS_FOLDER = "mlartifacts"


def artifact_location(config: SweepConfig) -> str | None:
    """The address of artifacts: beside the results; None where a tracking server decides.

    With a database, MLflow's own default is the folder in which a command happens to be started.
    """
    if config.tracking_uri.startswith("http"):
        return None
    address = join(join(config.storage, ARTIFACTS_FOLDER), config.name)
    return address if is_remote(address) else Path(address).as_uri()


def follow_moved_storage(config: SweepConfig, engine: Engine) -> None:
    """Correct the addresses of a sweep's artifacts in a database after the storage folder was moved.

    Raises:
        UsageError: the sweep has another storage.
    """
    here = artifact_location(config)
    with engine.begin() as connection:
        query = text("SELECT experiment_id, artifact_location FROM experiments WHERE name = :name")
        found = connection.execute(query, {"name": config.name}).first()
        if found is None or found.artifact_location == here or here is None:
            return
        storage = _storage_of(found.artifact_location, config.name)
        if storage is None or _same(storage, config.storage):
            return
        query = text("SELECT run_uuid FROM runs WHERE experiment_id = :key")
        runs = {row.run_uuid for row in connection.execute(query, {"key": found.experiment_id})}
        _check_moved(config, storage, runs)
        values = {
            "here": here,
            "key": found.experiment_id,
            "there": found.artifact_location,
            "size": len(found.artifact_location),
            "rest": len(found.artifact_location) + 1,
        }
        connection.execute(text("UPDATE experiments SET artifact_location = :here WHERE experiment_id = :key"), values)
        connection.execute(
            text(
                "UPDATE runs SET artifact_uri = :here || substr(artifact_uri, :rest) "
                "WHERE experiment_id = :key AND substr(artifact_uri, 1, :size) = :there"
            ),
            values,
        )


def claim(config: SweepConfig, client: MlflowClient, experiment: MLflowExperiment) -> None:
    """Note the sweep's storage with its experiment, also on a tracking server, before anything is written there.

    Raises:
        UsageError: the sweep has another storage.
    """
    storage = experiment.tags.get(TAG_STORAGE)
    if storage == config.storage:
        return
    if storage is not None and not _same(storage, config.storage):
        runs = {run.info.run_id for run in search_runs(client, experiment.experiment_id, "")}
        if artifact_location(config) != experiment.artifact_location:  # else it was followed already
            _check_moved(config, storage, runs)
    client.set_experiment_tag(experiment.experiment_id, TAG_STORAGE, config.storage)


def _check_moved(config: SweepConfig, there: str, runs: Collection[str]) -> None:
    """Refuse a storage to which a sweep's files have not been moved from `there`. A copy is followed if the database
    is a part of it; an experiment without any files is followed if it has no trials either.

    Raises:
        UsageError: the message has the choice.
    """
    is_here = _holds(config.storage, config.name, runs)
    is_there = _is_not_asked(there, config.storage) or _holds(there, config.name, runs)
    inside = config.tracking_uri.startswith(f"sqlite:///{config.storage}/")
    if (is_here and (inside or not is_there)) or (not is_there and len(runs) <= 1):
        return
    known = f"tracking: the sweep {config.name!r} at {config.shown_tracking} has its files in {there}"
    apart = "give this sweep another name, or a tracking address of its own (--tracking)"
    if not is_there:
        raise UsageError(
            f"{known}, and they are neither there nor in {config.storage}; mount or restore that folder, or {apart}"
        )
    copy = f"; if {config.storage} is a copy to go on with, move {there} away" if is_here else ""
    raise UsageError(
        f"{known}, and they have not been moved to {config.storage}, so these are two sweeps; go on with the first by "
        f"--storage {there}, or {apart}{copy}"
    )


def _is_not_asked(there: str, here: str) -> bool:
    """Whether a storage that only the record names is at a host of its own, which would get the user's credentials."""
    return names_a_host(there) and (there.partition(":")[0], there.partition("?")[2]) != (
        here.partition(":")[0],
        here.partition("?")[2],
    )


def _holds(storage: str, name: str, runs: Collection[str]) -> bool:
    """Whether a storage holds files of some of a sweep's runs: their artifacts, or trials that name them."""
    if not is_remote(storage) and not Path(storage).exists():
        return False
    if set(open_folder(join(join(storage, ARTIFACTS_FOLDER), name)).names()) & set(runs):
        return True
    trials = open_folder(join(storage, name)) / TRIALS_FOLDER
    for trial_id in trials.names():
        try:
            recorded = read_json(checked(trials / trial_id), RUN_FILE)
        except (FileNotFoundError, DamagedError):
            continue
        if recorded.get("run_id") in runs:
            return True
    return False


def _storage_of(location: str, name: str) -> str | None:
    """The storage whose artifacts are at an address on a disk; None for another address."""
    if not location.startswith("file:"):
        return None
    storage, _, rest = unquote(urlparse(location).path).rpartition(f"/{ARTIFACTS_FOLDER}/")
    return storage if storage and rest == name else None


def _same(there: str, here: str) -> bool:
    """Whether two addresses are those of one storage: the same folder by another path, a bucket by another server."""
    if is_remote(there) or is_remote(here):
        return there.partition("?")[0].rstrip("/") == here.partition("?")[0].rstrip("/")
    first, second = Path(there), Path(here)
    return first == second or (first.exists() and second.exists() and first.samefile(second))
