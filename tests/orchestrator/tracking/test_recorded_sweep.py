"""The results of a sweep are those of the trials in its file, from MLflow as from the store, whatever ran before."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from analysis.report.evidence import gather
from analysis.report.verdict import verdict
from analysis.results.mlflow import load_results
from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.plan import make_plan
from orchestrator.store.results import stored_sweep
from orchestrator.store.trial_store import TrialStore
from orchestrator.tracking.experiment import open_experiment, recorded_sweep
from orchestrator.tracking.run import TrialRuns
from orchestrator.tracking.tracker import MLflowTracker
from tests.conftest import SMALL_SWEEP
from tests.orchestrator.made_up import ONE_MEASURE, fail, finish
from trainables.trial.code import Code, Sources, code_of


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> SweepConfig:
    """The small sweep, of whose four trials three are measured and one failed, in the store and in MLflow."""
    storage = tmp_path_factory.mktemp("storage")
    shutil.copy(empty_database, storage)
    config = load_changed(str(storage))
    specs = expand(config)
    store = TrialStore(config.folder, config.sharpness.measurement_id)
    finish(store, specs[:3], config.sharpness)
    fail(store, specs[3])
    runs = TrialRuns(open_experiment(config), config, store, specs)
    for spec in specs:
        runs.sync(spec.trial_id)
    return config


def load_changed(storage: str, *replacements: tuple[str, str]) -> SweepConfig:
    text = SMALL_SWEEP
    for old, new in (ONE_MEASURE, *replacements):
        text = text.replace(old, new)
    path = Path(storage) / "changed.yaml"
    path.write_text(text)
    return load(str(path), storage)


RATES = "learning_rate: [0.05, 0.1]"
CHANGES: dict[str, tuple[tuple[tuple[str, str], ...], dict[str, int], int]] = {
    "narrowed": (((RATES, "learning_rate: [0.05]"),), {"measured": 2}, 2),
    "extended": (((RATES, "learning_rate: [0.05, 0.1, 0.2]"),), {"measured": 3, "failed": 1, "pending": 2}, 0),
    "shifted": (((RATES, "learning_rate: [0.1, 0.2]"),), {"measured": 1, "failed": 1, "pending": 2}, 2),
    "of another seed": ((("name: small", "name: small\nseeds: [1]"),), {"pending": 4}, 4),
    "measured in another way": ((("orders: [0.5, 1.5]", "orders: [2.0]"),), {"trained": 3, "failed": 1}, 0),
    "the same": ((), {"measured": 3, "failed": 1}, 0),
}


def test_only_the_trials_of_the_file_count_from_mlflow_and_from_the_store_alike(
    recorded: SweepConfig,
) -> None:
    for replacements, states, others in CHANGES.values():
        check(load_changed(recorded.storage, *replacements), states, others)


def check(config: SweepConfig, states: dict[str, int], others: int) -> None:
    logged, stored = recorded_sweep(config), stored_sweep(make_plan(config))
    assert logged.states == stored.states == states
    assert list(logged.states) == list(stored.states)
    assert logged.failures == stored.failures
    assert logged.spectra.keys() == stored.spectra.keys()
    pd.testing.assert_frame_equal(logged.table[list(stored.table)], stored.table, check_dtype=False)
    assert set(logged.table["trial_id"]) <= {spec.trial_id for spec in expand(config)}
    (remark,) = logged.remarks or ("",)
    assert logged.remarks == stored.remarks
    assert remark.startswith(f"{others} other trials stand under the sweep's name" if others else "")
    data = verdict(gather(logged))[1]
    assert data.topic == "data"
    assert data.text.startswith(f"{states.get('measured', 0)} trials measured")
    assert remark in data.text


def test_the_parent_run_counts_the_trials_of_the_file(recorded: SweepConfig) -> None:
    config = load_changed(recorded.storage, (RATES, "learning_rate: [0.05]"))
    plan = make_plan(config)
    tracker = MLflowTracker(config, plan.store, plan.specs)
    assert tracker.finish() == 0
    metrics = MlflowClient(config.tracking_uri).get_run(tracker.parent_run_id).data.metrics
    counts = {name.removeprefix("trials/"): count for name, count in metrics.items()}
    assert counts == {"measured": 2, "failed": 0, "trained": 0, "training": 0, "pending": 0, "others": 2}


def test_results_are_read_of_all_trials_or_of_those_that_are_named(recorded: SweepConfig) -> None:
    every = load_results(recorded.tracking_uri, recorded.name)
    assert every["trial_id"].nunique() == 3
    (first, *_) = set(every["trial_id"])
    one = load_results(recorded.tracking_uri, recorded.name, [first, "nowhere"])
    assert set(one["trial_id"]) == {first}


def test_a_trial_with_several_runs_is_read_once(recorded: SweepConfig) -> None:
    client = MlflowClient(recorded.tracking_uri)
    experiment = client.get_experiment_by_name(recorded.name)
    assert experiment is not None
    (run, *_) = client.search_runs([experiment.experiment_id], "tags.`renyi.state` = 'measured'")
    tags = run.data.tags
    unfinished = client.create_run(experiment.experiment_id, start_time=0, tags=tags | {"renyi.state": "training"})
    copied = client.create_run(experiment.experiment_id, tags=tags)
    found = recorded_sweep(recorded)
    for copy in (unfinished, copied):
        client.delete_run(copy.info.run_id)
    assert found.states == {"measured": 3, "failed": 1}
    pd.testing.assert_frame_equal(
        found.table, stored_sweep(make_plan(recorded)).table[list(found.table)], check_dtype=False
    )


def test_the_code_that_trained_is_told_from_mlflow_as_from_the_store(recorded: SweepConfig) -> None:
    specs = expand(recorded)
    store = TrialStore(recorded.folder, recorded.sharpness.measurement_id)
    other = Code("0.1.9", "abc", {"my_nets.Net": Sources.of({"my_nets": "123"})}, "data")
    store.trial(specs[0].trial_id).write_code(code_of([specs[0].model]))
    for code in (code_of([specs[1].model]), other):
        store.trial(specs[1].trial_id).write_code(code)
    experiment = open_experiment(recorded)
    runs = TrialRuns(experiment, recorded, store, specs)
    for spec in specs[:2]:
        runs.sync(spec.trial_id)
    (run,) = MlflowClient(recorded.tracking_uri).search_runs(
        [experiment.experiment_id], f"tags.`renyi.trial_id` = '{specs[1].trial_id}'"
    )
    assert run.data.tags["renyi.code"] == other.own["my_nets.Net"].digest
    assert run.data.tags["renyi.version"].endswith(" then 0.1.9")
    assert run.data.tags["renyi.data"] == "data"
    (line,) = recorded_sweep(recorded).remarks
    assert line.startswith("trials of 2 versions of this program: 1 of ")
    assert (line,) == stored_sweep(make_plan(recorded)).remarks


def test_trials_whose_tables_are_gone_are_left_out_with_a_word(recorded: SweepConfig) -> None:
    (first, *_) = (Path(recorded.storage) / "mlartifacts" / "small").glob("*/artifacts/measurements.parquet")
    table = first.read_bytes()
    first.unlink()
    found = recorded_sweep(recorded)
    first.write_bytes(table)
    assert found.states == {"trained": 1, "measured": 2, "failed": 1}
    assert found.table["trial_id"].nunique() == len(found.spectra) == 2
    remark = found.remarks[0]
    assert f"1 measured left out, whose tables are not at {first.parent.as_uri()}" in remark
