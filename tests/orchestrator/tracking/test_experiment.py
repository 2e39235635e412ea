"""A sweep's experiment and its parent run: found or made once, whatever was done to them by hand."""

import pytest
from mlflow import MlflowClient

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.store.trial_store import TrialStore
from orchestrator.tracking.description import parent_note
from orchestrator.tracking.experiment import log_report, open_experiment
from orchestrator.tracking.protocol import LoggedReport
from orchestrator.tracking.tracker import MLflowTracker
from tests.orchestrator.made_up import finish
from tests.orchestrator.tracking.recorded import create_run, trial_runs
from trainables.trial.specs import TrialSpec


def test_of_several_runs_of_a_trial_the_one_that_the_store_names_is_kept(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    trial = specs[0].trial_id
    first = MLflowTracker(config, store, specs)
    copies = [create_run(config, first.experiment_id, trial).info.run_id for _ in range(3)]
    store.trial(trial).write_run_id(config.shown_tracking, copies[1])
    assert len(trial_runs(config)) == 3
    MLflowTracker(config, store, specs)
    (kept,) = trial_runs(config)
    assert kept.info.run_id == copies[1]


def test_a_report_goes_to_the_parent_run(config: SweepConfig) -> None:
    parent = open_experiment(config).parent_run_id
    log_report(config, LoggedReport({"report.html": b"page"}, "the verdict"))
    log_report(config, LoggedReport({"report.html": b"page"}, "of two sweeps"), "report-small-other")
    client = MlflowClient(config.tracking_uri)
    assert {artifact.path for artifact in client.list_artifacts(parent)} == {"report.html", "report-small-other"}
    assert client.get_run(parent).data.tags["mlflow.note.content"] == "the verdict"


def test_the_files_tags_and_notes_are_on_its_runs_as_they_are_now(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    def runs(tags: dict[str, str], notes: str) -> MLflowTracker:
        changed = config.model_copy(update={"tags": tags, "notes": notes})
        tracker = MLflowTracker(changed, store, specs)
        tracker.reconcile(store.states(specs))
        tracker.log_report(LoggedReport({}, "the verdict")) if notes == "second" else None
        assert tracker.wait() == 0
        return tracker

    finish(store, specs[:1], config.sharpness)
    client = MlflowClient(config.tracking_uri)
    parent = runs({"team": "a"}, "first").parent_run_id
    assert client.get_run(parent).data.tags["mlflow.note.content"] == "first"
    runs({"team": "b", "paper": "2"}, "second")
    runs({"team": "b", "paper": "2"}, "second")
    assert client.get_run(parent).data.tags["mlflow.note.content"] == "second\n\nthe verdict"
    for run in [client.get_run(parent), *trial_runs(config)]:
        assert (run.data.tags["team"], run.data.tags["paper"]) == ("b", "2")


def test_notes_stand_before_a_verdict_that_mlflow_would_cut_off(config: SweepConfig) -> None:
    note = parent_note(config.model_copy(update={"notes": "n" * 4000}), "v" * 9000)
    assert len(note) == 8000
    assert note.startswith("n" * 4000 + "\n\nv")
    assert note.endswith("`report.html`")


def test_an_experiment_deleted_by_hand_is_reported(config: SweepConfig, store: TrialStore) -> None:
    tracker = MLflowTracker(config, store, [])
    MlflowClient(config.tracking_uri).delete_experiment(tracker.experiment_id)
    with pytest.raises(UsageError, match=r"'small' at .* was deleted in MLflow; `.* mlflow experiments restore"):
        MLflowTracker(config, store, [])
