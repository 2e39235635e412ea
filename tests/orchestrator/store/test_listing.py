from pathlib import Path

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.inventory import write_index
from orchestrator.store.lease import Lease
from orchestrator.store.listing import list_sweeps
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import TrialStore
from tests.orchestrator.made_up import fail, finish
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import open_folder


def test_every_sweep_of_a_storage_is_listed_and_nothing_else(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    finish(store, specs[:2], config.sharpness)
    fail(store, specs[2])
    write_index(make_plan(config))
    storage = open_folder(config.storage)
    storage.write("mlflow.db", b"")
    (storage / "mlartifacts" / "small").write("a", b"1")
    with Lease(storage / "begun", "renyi run begun"):
        begun, small = list_sweeps(storage)
    assert (begun.name, begun.running, begun.trials, begun.started) == ("begun", True, 0, None)
    assert (small.name, small.running, small.trials, small.others) == ("small", False, 4, 0)
    assert small.states == {"pending": 1, "training": 0, "trained": 0, "measured": 2, "failed": 1}
    written = [path.stat() for path in Path(config.folder).rglob("*") if path.is_file()]
    assert small.size == sum(each.st_size for each in written)
    assert small.started == min(each.st_mtime for each in written)
    assert small.last == max(each.st_mtime for each in written)
    assert list_sweeps(storage)[0].running is False


def test_a_storage_that_is_not_there_has_no_sweeps_and_is_not_made(tmp_path: Path) -> None:
    assert list_sweeps(open_folder(str(tmp_path / "nowhere"))) == []
    assert list(tmp_path.iterdir()) == []
