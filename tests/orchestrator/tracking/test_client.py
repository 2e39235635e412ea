"""The client of a sweep: databases made whole, moved folders, addresses that don't answer."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.store.trial_store import TrialStore
from orchestrator.tracking.client import open_client
from orchestrator.tracking.experiment import find_experiment, recorded_sweep
from orchestrator.tracking.tracker import MLflowTracker
from tests.orchestrator.tracking.recorded import HISTORY, OUTCOME, trial_runs
from trainables.trial.folder import Trained
from trainables.trial.specs import TrialSpec


@pytest.mark.parametrize(
    ("tracking", "said"),
    [
        ("sqlite:////nowhere/there/own.db", "unable to open database file"),
        ("postgresql://me:secret@127.0.0.1:1/mlflow", "onnection refused"),
        ("http://127.0.0.1:1", "Connection refused"),
        ("mysql+nodriver://host/db", "nodriver"),
    ],
)
def test_an_address_that_does_not_answer_is_reported_in_one_line(
    config: SweepConfig, store: TrialStore, tracking: str, said: str
) -> None:
    with pytest.raises(UsageError) as told:
        MLflowTracker(config.model_copy(update={"tracking": tracking}), store, [])
    message = str(told.value)
    assert message.startswith("tracking: ")
    assert said in message
    assert "secret" not in message
    assert "\n" not in message


@pytest.mark.parametrize("read", [recorded_sweep, find_experiment])
@pytest.mark.parametrize(
    "tracking", ["sqlite:///{}/text.db", "postgresql://me:secret@127.0.0.1:1/mlflow", "http://127.0.0.1:1/{}"]
)
def test_reading_does_not_wait_for_what_never_answers(
    config: SweepConfig, tmp_path: Path, tracking: str, read: Callable[[SweepConfig], object]
) -> None:
    (tmp_path / "text.db").write_text("this is no database" * 100)
    with pytest.raises(UsageError, match=r"^tracking: .* can't be used: .*(not a database|refused)"):
        read(config.model_copy(update={"tracking": tracking.format(tmp_path)}))


@pytest.mark.parametrize("own", [False, True])
def test_artifacts_are_found_after_the_storage_was_moved(
    config: SweepConfig,
    specs: list[TrialSpec],
    store: TrialStore,
    sweep_file: Callable[..., Path],
    tmp_path: Path,
    own: bool,
) -> None:
    if own:
        config = load(str(sweep_file()), tracking=f"sqlite:///{tmp_path}/own.db")
    store.trial(specs[0].trial_id).write_trained(Trained(HISTORY, OUTCOME))
    first = MLflowTracker(config, store, specs)
    first.reconcile(store.states(specs))
    assert first.wait() == 0
    Path(config.storage).rename(tmp_path / "new")
    moved = load(str(sweep_file()), str(tmp_path / "new"), config.tracking)
    store = TrialStore(f"{tmp_path}/new/small", moved.sharpness.measurement_id)
    second = MLflowTracker(moved, store, specs)
    second.reconcile(store.states(specs))
    assert second.wait() == 0
    (run,) = trial_runs(moved)
    assert run.info.artifact_uri == f"file://{tmp_path}/new/mlartifacts/small/{run.info.run_id}/artifacts"
    assert run.data.tags["renyi.checkpoint"] == f"{tmp_path}/new/small/trials/{specs[0].trial_id}/last.pt"


def test_a_database_is_made_whole_or_not_at_all(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, tmp_path: Path
) -> None:
    database = Path(config.storage) / "mlflow.db"
    half_made = database.with_name(".mlflow.db.new") / "mlflow.db"
    database.unlink()
    code = "from orchestrator.config.load import load; from orchestrator.tracking.client import open_client; "
    code += "open_client(load('sweep.yaml'))"
    for _ in range(2):
        driver = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
        while not (half_made.exists() and half_made.stat().st_size):
            assert driver.poll() is None
            time.sleep(0.005)
        driver.kill()
        driver.wait()
        assert database.stat().st_size == 0
    assert MLflowTracker(config, store, specs).finish() == 0
    assert not half_made.parent.exists()


def test_what_a_killed_driver_left_of_a_database_is_removed(config: SweepConfig, storage_with_database: Path) -> None:
    left = storage_with_database / ".mlflow.db.new"
    left.mkdir()
    open_client(config)
    assert not left.exists()
