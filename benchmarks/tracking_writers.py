"""Sixteen drivers write to one MLflow at once: is any write lost, does any error reach a driver?

Each is a process with a sweep of its own, which finishes made-up trials as fast as they are logged and hands them to
the `MLflowTracker` that `renyi run` uses. All start together on an empty database, so they meet at its creation too.
Afterwards the rows in the database are counted.

    python benchmarks/tracking_writers.py                  # 20 s each: SQLite, PostgreSQL, a server over PostgreSQL
    python benchmarks/tracking_writers.py --seconds 600    # the claim
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sqlalchemy import create_engine, text

from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.events import TrialTrained
from orchestrator.store.trial_store import TrialStore
from orchestrator.tracking.metrics import of_epochs, of_outcome
from orchestrator.tracking.tracker import MLflowTracker
from tests.tracking_servers import mlflow_server, postgresql
from trainables.trial.folder import EpochMetrics, Generalization, Trained

WRITERS = 16
_start: "multiprocessing.synchronize.Barrier"  # of each writer process
EPOCHS = 20
SWEEP = """\
name: writer{number}
data: {{dataset: digits}}
model: digits_cnn
training: {{epochs: {epochs}, batch_size: 64}}
grid: [{{optimizer: sgd, learning_rate: 0.1}}]
seeds: {seeds}
storage: {folder}/storage
tracking: {address}
"""
MAX_TRIALS = 5000


@dataclass(frozen=True)
class Written:
    """What one writer wrote, and what was reported to it."""

    trials: int
    not_logged: int  # at the end
    troubles: int  # how often writes began to fail, and were repeated
    slowest: float  # seconds that handing over took at most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="how long each database is written to")
    parser.add_argument("--writers", type=int, default=WRITERS)
    parser.add_argument("--only", choices=list(DATABASES), help="one database")
    arguments = parser.parse_args()
    each_trial = len(of_epochs(outcome(0).history) + of_outcome(outcome(0)))
    print(f"{arguments.writers} writers for {arguments.seconds:.0f} s each; a trial is a run with {each_trial} points")
    print(
        f"{'database':>22} {'runs asked':>10} {'found':>6} {'points asked':>12} {'found':>8} {'errors':>6} "
        f"{'repeats':>7} {'runs/s':>6} {'slowest hand-over':>17}"
    )
    lost = False
    for name in [arguments.only] if arguments.only else list(DATABASES):
        with (
            tempfile.TemporaryDirectory(prefix="renyi-writers-", ignore_cleanup_errors=True) as folder,
            DATABASES[name](Path(folder)) as (address, database),
        ):
            started = time.monotonic()
            written = write(Path(folder), address, arguments.writers, arguments.seconds)
            took = time.monotonic() - started
            runs, points = held(database)
        asked = sum(each.trials for each in written)
        errors = sum(each.not_logged for each in written)
        lost |= (runs, points, errors) != (asked, asked * each_trial, 0)
        print(
            f"{name:>22} {asked:>10} {runs:>6} {asked * each_trial:>12} {points:>8} {errors:>6} "
            f"{sum(each.troubles for each in written):>7} {asked / took:>6.2f} "
            f"{1000 * max(each.slowest for each in written):>14.2f} ms",
            flush=True,
        )
    sys.exit("writes were lost, or doubled" if lost else 0)


def write(folder: Path, address: str, writers: int, seconds: float) -> list[Written]:
    """Start all writers at the same moment."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(writers)
    with context.Pool(writers, _share, (start,)) as pool:
        return pool.starmap(_write, [(folder, address, number, seconds) for number in range(writers)], chunksize=1)


def _share(start: "multiprocessing.synchronize.Barrier") -> None:
    global _start
    _start = start


def _write(folder: Path, address: str, number: int, seconds: float) -> Written:
    path = folder / f"writer{number}.yaml"
    seeds = json.dumps(list(range(MAX_TRIALS)))
    path.write_text(SWEEP.format(number=number, epochs=EPOCHS, seeds=seeds, folder=folder, address=address))
    config: SweepConfig = load(str(path))
    specs = expand(config)
    store = TrialStore(config.folder, config.sharpness.measurement_id)
    troubles: list[str] = []
    _start.wait()
    tracker = MLflowTracker(config, store, specs, troubles.append)
    deadline, done, slowest = time.monotonic() + seconds, 0, 0.0
    for spec in specs:
        if time.monotonic() > deadline:
            break
        store.trial(spec.trial_id).write_trained(outcome(done))
        handed = time.monotonic()
        tracker.record(TrialTrained(spec.trial_id))
        slowest = max(slowest, time.monotonic() - handed)
        done += 1
        while tracker.waiting > 2 and time.monotonic() < deadline:  # as fast as they are logged
            time.sleep(0.05)
    behind = tracker.wait(patience=120)
    return Written(done, behind, len(troubles), slowest)


def outcome(number: int) -> Trained:
    """A made-up result."""
    history = [EpochMetrics(epoch, 0.1, 1 / (epoch + 1), 2.0, 0.5, 1.0, 1e9 + epoch) for epoch in range(EPOCHS)]
    return Trained(history, Generalization(0.1, 0.01, 1.0, 0.0, 0.3 + number / 1000, 0.02, 0.9, 0.03))


def held(database: str) -> tuple[int, int]:
    """How many runs of trials, and how many points of theirs, a database holds."""
    engine = create_engine(database)
    with engine.connect() as connection:
        of_trials = "SELECT run_uuid FROM tags WHERE key = 'renyi.kind' AND value = 'trial'"
        runs = connection.execute(text(f"SELECT count(*) FROM ({of_trials}) AS trials")).scalar_one()
        points = connection.execute(text(f"SELECT count(*) FROM metrics WHERE run_uuid IN ({of_trials})")).scalar_one()
    engine.dispose()
    return int(runs), int(points)


@contextmanager
def _sqlite(folder: Path) -> Iterator[tuple[str, str]]:
    yield f"sqlite:///{folder}/mlflow.db", f"sqlite:///{folder}/mlflow.db"


@contextmanager
def _postgresql(folder: Path) -> Iterator[tuple[str, str]]:
    with postgresql() as address:
        yield address, address.replace("postgresql:", "postgresql+psycopg:")


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, str]]:
    with _postgresql(folder) as (_, database), mlflow_server(folder, database) as server:
        yield server.address, database


DATABASES = {"SQLite": _sqlite, "PostgreSQL": _postgresql, "server over PostgreSQL": _server}

if __name__ == "__main__":
    main()
