"""Fixtures that many tests share."""

import fcntl
import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

from tests import forked_worker
from tests.small_pictures import draw_each_once

# Many small processes on few cores: threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
# A shell's background jobs ignore Ctrl-C, those under nohup the hang-up, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# The same examples every time, and none that fails for being slow on a busy machine.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

LONG = (
    *("test_hosts", "test_fault_matrix", "test_snippets", "faults", "test_slurm", "test_ray_sweep", "end_to_end"),
    *("test_contributing", "test_loop", "test_scripts", "test_shards", "test_zoo", "test_engines", "oracle"),
)
SMALL_SWEEP = """\
name: small
data: {dataset: digits}
model: digits_cnn
training: {epochs: 2, batch_size: 64}
grid:
  - optimizer: sgd
    learning_rate: [0.05, 0.1]
    weight_decay: [1e-4, 1e-3]
sharpness:
  {samples: 20, orders: [0.5, 1.5], estimator: paired, num_probes: 2, num_matvecs: 5,
   measures: [renyi, renyi_gauss_newton, trace, lambda_max, l2]}
resources:
  trial: {cpus: 0.75}
  pool: {actors: 1, cpus: 0.5}
"""

_numbers = count()  # of image caches

# In its text, for tests that are not about what is measured.
ONE_LAYER = ("samples: 20", "samples: 20, layers: [classifier.weight]")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long start first, so that none is left over at the end with one process at work."""
    items.sort(key=lambda item: min((n for n, part in enumerate(LONG) if part in str(item.path)), default=len(LONG)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Hide what the tests import from the garbage collector, which would search a million objects again and again."""
    gc.collect()
    gc.freeze()


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills, once for all processes of this test run: the others wait for it."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.with_suffix(".made").exists():
            folder.mkdir()
            make(folder)
            folder.with_suffix(".made").touch()
    return folder


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with MLflow's tables, which take seconds to create."""

    def create(folder: Path) -> None:
        from mlflow import MlflowClient

        MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()

    return made_once(tmp_path_factory, "database", create) / "mlflow.db"


@pytest.fixture
def storage_with_database(storage: Path, empty_database: Path) -> Path:
    """The storage folder with a database of MLflow's in which there is nothing yet."""
    storage.mkdir()
    shutil.copy(empty_database, storage)
    return storage


@pytest.fixture(scope="module")
def old_heap() -> None:
    """Hide from the garbage collector what was made before this file's first test: modules are a million objects."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def young_heap(old_heap: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have optimizers look for batch-norm and loss scalers among what the tests made, not among all that is imported.

    They see through `gc.freeze`, and search the whole heap once each.
    """
    monkeypatch.setattr("trainables.optimizers.step.live_objects._tracked_objects", gc.get_objects)


@pytest.fixture
def one_kind_of_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_each_once(monkeypatch)


@pytest.fixture(autouse=True, scope="session")
def forked_workers() -> Iterator[None]:
    """Workers of this process start at once, with all that it has imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainables.processes.running.launch", forked_worker.fork)
        yield


@pytest.fixture(autouse=True)
def image_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of decoded images of the test's own; most tests make none, and need no folder for it."""
    folder = tmp_path_factory.getbasetemp() / "image-caches" / str(next(_numbers))
    monkeypatch.setenv("RENYI_CACHE", str(folder))
    return folder


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty storage folder that every command uses by default."""
    folder = tmp_path / "storage"
    monkeypatch.setenv("RENYI_STORAGE", str(folder))
    return folder


@pytest.fixture
def sweep_file(tmp_path: Path) -> Callable[..., Path]:
    """Write the small sweep of four trials to a file, with parts of its text replaced."""

    def write(*replacements: tuple[str, str], name: str = "sweep.yaml") -> Path:
        text = SMALL_SWEEP
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text)
        return path

    return write
