"""The MLflow client of a sweep, the set-up of its database, and how artifacts are logged."""

import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.tracking.moved import follow_moved_storage
from trainables.trial.storage import is_remote

SETUP_LOCK = 0x52656E7969  # any number of this package's own
ANSWER_SECONDS = 10.0


@contextmanager
def answering(config: SweepConfig) -> Iterator[None]:
    """A block that needs an answer from MLflow at once.

    Raises:
        UsageError: there is none; the reason in one line.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"tracking: {config.shown_tracking} needs the package {error.name}; for PostgreSQL: "
            "pip install 'renyi-sharpness[postgres]'"
        ) from error
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise UsageError(
            f"tracking: {config.shown_tracking} can't be used: {_deepest(error)}; start the server or correct the "
            "address (--tracking, or `tracking` in the sweep file), then give the same command again"
        ) from error


def check_answer(config: SweepConfig) -> None:
    """Ask the server or database once whether it answers, and create none. MLflow itself would try for minutes.

    Raises:
        OSError: the server does not answer.
        SQLAlchemyError: the database does not, or the file is none.
    """
    if config.tracking_uri.startswith("http"):
        address = urlsplit(config.tracking_uri)
        if not getproxies():  # else the proxy may reach what this machine does not
            port = address.port or (443 if address.scheme == "https" else 80)
            socket.create_connection((str(address.hostname), port), ANSWER_SECONDS).close()
        return
    engine = create_engine(config.tracking_uri)
    try:
        if engine.dialect.name != "sqlite" or Path(str(engine.url.database)).is_file():
            with engine.connect() as connection:
                inspect(connection).has_table("experiments")
    finally:
        engine.dispose()


def open_client(config: SweepConfig) -> MlflowClient:
    """A client of the sweep's tracking address; in a database, its artifacts are in the present storage folder.

    Raises:
        SQLAlchemyError: the database does not answer. MLflow itself would try for an hour.
        UsageError: the sweep has another storage.
    """
    if not is_remote(config.storage):
        Path(config.storage).mkdir(parents=True, exist_ok=True)  # SQLite makes files, not folders
    if config.tracking_uri.startswith("http"):
        return MlflowClient(config.tracking_uri)
    engine = create_engine(config.tracking_uri)
    try:
        with engine.connect() as connection:
            inspect(connection).has_table("experiments")  # fails where a file is no database
        with _alone(engine):
            _create_at_once(engine)
            if inspect(engine).has_table("experiments"):
                follow_moved_storage(config, engine)
            return MlflowClient(config.tracking_uri)
    finally:
        engine.dispose()


def _create_at_once(engine: Engine) -> None:
    """Make a new SQLite database in a folder beside its path, and move it there once MLflow's tables are complete.

    SQLite keeps each table and column as soon as it is made, and MLflow can't open a database if it was killed while
    making it. Other databases undo what was not completed.
    """
    if engine.dialect.name != "sqlite":
        return
    path = Path(str(engine.url.database))
    scratch = path.with_name(f".{path.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)  # of a driver that was killed
    if path.stat().st_size > 0:
        return
    scratch.mkdir()
    url = engine.url.set(database=str(scratch / path.name))
    MlflowClient(url.render_as_string(hide_password=False))
    (scratch / path.name).replace(path)
    shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Keep other drivers from opening the same database: two that create MLflow's tables at once both fail."""
    match engine.dialect.name:
        case "sqlite":
            folder = os.open(Path(str(engine.url.database)).absolute().parent, os.O_RDONLY)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX)
                yield
            finally:
                os.close(folder)
        case "postgresql":
            with engine.connect() as connection:
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": SETUP_LOCK})
                yield
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": SETUP_LOCK})
        case _:
            yield


def log_files(client: MlflowClient, run_id: str, files: Mapping[str, bytes], folder: str | None = None) -> None:
    """Log files as artifacts of a run."""
    with tempfile.TemporaryDirectory(prefix="renyi-log-") as scratch:
        for name, data in files.items():
            (Path(scratch) / name).write_bytes(data)
        client.log_artifacts(run_id, scratch, folder)


def _deepest(error: BaseException) -> str:
    """The reason at the bottom of MLflow's nested errors, in one line."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return (str(error) or type(error).__name__).splitlines()[0]
