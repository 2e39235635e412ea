"""One trial's run, brought to the store's state in any order of steps."""

import pytest
from mlflow import MlflowClient

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.trial_store import TrialState, TrialStore
from orchestrator.tracking.experiment import open_experiment
from orchestrator.tracking.run import TrialRuns
from tests.orchestrator.made_up import SHIFTED, finish
from tests.orchestrator.tracking.recorded import HISTORY, OUTCOME, trial_runs
from trainables.trial.folder import Failure, Trained, write_failure
from trainables.trial.specs import TrialSpec


@pytest.fixture
def runs(config: SweepConfig, specs: list[TrialSpec], store: TrialStore) -> TrialRuns:
    return TrialRuns(open_experiment(config), config, store, specs)


def test_a_trial_is_up_to_date_once_its_run_shows_its_state(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, runs: TrialRuns
) -> None:
    trial = specs[0].trial_id
    store.trial(trial).write_trained(Trained(HISTORY, OUTCOME))
    assert not runs.is_up_to_date(trial, TrialState.TRAINED)
    runs.sync(trial)
    assert runs.is_up_to_date(trial, TrialState.TRAINED)
    assert not runs.is_up_to_date(trial, TrialState.MEASURED)
    again = TrialRuns(open_experiment(config), config, store, specs)
    assert again.is_up_to_date(trial, TrialState.TRAINED)


def test_epochs_that_are_late_do_not_open_a_finished_run(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, runs: TrialRuns
) -> None:
    trial = specs[0].trial_id
    runs.add_epochs(trial, HISTORY)
    write_failure(store.trial(trial).folder, Failure("training", "ValueError: no", "Traceback"))
    runs.sync(trial)
    runs.log_epochs(trial)  # as after an outage, in which the two changed their order
    assert runs.with_unlogged_epochs() == []
    (run,) = trial_runs(config)
    assert run.info.status == "FAILED"
    assert len(MlflowClient(config.tracking_uri).get_metric_history(run.info.run_id, "training/train_loss")) == 3


def test_a_run_without_a_shift_that_the_store_has_is_not_up_to_date(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, runs: TrialRuns
) -> None:
    trial = specs[0].trial_id
    finish(store, specs[:1], config.sharpness)
    runs.sync(trial)
    asking = TrialStore(config.folder, store.measurement_id, ("noise_3", "blur_2"))
    later = TrialRuns(open_experiment(config), config, asking, specs)
    assert later.is_up_to_date(trial, TrialState.MEASURED)  # the store has neither yet
    store.trial(trial).write_shift("noise_3", SHIFTED)
    assert not later.is_up_to_date(trial, TrialState.MEASURED)
    later.sync(trial)
    assert later.is_up_to_date(trial, TrialState.MEASURED)
    store.trial(trial).write_shift("blur_2", SHIFTED)
    again = TrialRuns(open_experiment(config), config, asking, specs)
    assert not again.is_up_to_date(trial, TrialState.MEASURED)
    again.sync(trial)
    (run,) = trial_runs(config)
    assert run.data.tags["renyi.shifts"] == "blur_2, noise_3"
    assert run.data.metrics["generalization/gap_loss_under_blur_2"] == 0.5
