import time

from mlflow import MlflowClient

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.trial_store import TrialStore
from orchestrator.tracking.listing import list_recorded
from orchestrator.tracking.tracker import MLflowTracker
from tests.orchestrator.made_up import fail, finish
from trainables.trial.specs import TrialSpec


def test_sweeps_are_listed_with_their_trials_and_other_experiments_are_not(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    finish(store, specs[:2], config.sharpness)
    fail(store, specs[2])
    client = MlflowClient(config.tracking_uri)
    client.create_run(client.create_experiment("another program's"))
    assert list_recorded(config.tracking_uri) == []
    tracker = MLflowTracker(config, store, specs)
    tracker.reconcile(store.states(specs))
    assert tracker.wait() == 0
    (begun,) = list_recorded(config.tracking_uri)
    assert begun.running
    assert tracker.finish() == 0
    (found,) = list_recorded(config.tracking_uri)
    assert (found.name, found.place, found.running, found.size) == ("small", config.tracking_uri, False, None)
    assert found.states == {"training": 0, "trained": 0, "measured": 2, "failed": 1}
    assert found.started is not None
    assert found.last is not None
    assert time.time() - 600 < found.started <= found.last <= time.time()
