"""`run_sweep` where next to nothing is missing, with a real lease and a real database; whole runs are in
tests/end_to_end."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.exit_codes import ExitCode
from orchestrator.store.changes import Changes
from orchestrator.store.lease import Lease, LeaseError
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import TrialState, TrialStore
from orchestrator.sweep import run_sweep
from tests.orchestrator.made_up import ONE_MEASURE, fail, finish
from trainables.trial.specs import TrialSpec

pytestmark = pytest.mark.usefixtures("one_kind_of_picture")


@pytest.fixture
def config(storage_with_database: Path, sweep_file: Callable[..., Path]) -> SweepConfig:
    """With one measure, since figures take the time."""
    return load(str(sweep_file(ONE_MEASURE)))


def test_a_finished_sweep_is_logged_and_reported_and_nothing_runs(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    finish(store, specs, config.sharpness)
    told = Path(config.storage) / "told"
    config = config.model_copy(update={"tags": {"team": "a"}, "on_end": f"echo $RENYI_STATE $RENYI_MEASURED > {told}"})
    assert run_sweep(config, "inline") is ExitCode.ALL_MEASURED
    assert told.read_text() == "finished 4\n"
    client = MlflowClient(config.tracking_uri)
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["team"] for run in runs} == {"a"}
    assert len(runs) == 5


def test_changes_are_made_before_anything_runs(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, sweep_file: Callable[..., Path]
) -> None:
    finish(store, specs, config.sharpness)
    fail(store, specs[0])
    fail(store, specs[1])
    other = load(str(sweep_file(ONE_MEASURE, ("orders: [0.5, 1.5]", "orders: [2.0]"), name="other.yaml")))
    assert make_plan(other).counts == {TrialState.TRAINED: 2, TrialState.FAILED: 2}
    changes = Changes(forget_failures=(specs[0].trial_id,), derive_measurements=True)
    assert run_sweep(other, "inline", only=[], changes=changes) is ExitCode.SOME_FAILED
    states = make_plan(other).states
    assert [states[spec.trial_id] for spec in specs] == [
        TrialState.TRAINED,
        TrialState.FAILED,
        TrialState.MEASURED,
        TrialState.MEASURED,
    ]


def test_a_second_driver_is_refused_before_anything_is_opened(config: SweepConfig, store: TrialStore) -> None:
    config = config.model_copy(update={"on_end": f"touch {config.storage}/told"})
    with Lease(store.folder, "renyi run other"), pytest.raises(LeaseError, match="renyi run other"):
        run_sweep(config, "inline")
    assert not (Path(config.storage) / "told").exists()  # the other one will tell
    assert store.folder.names() == ["driver"]


def test_a_defect_ends_the_command_in_one_line_with_a_code_of_its_own(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def wrong(*_: object) -> str:
        raise AttributeError("no such thing")

    finish(store, specs, config.sharpness)
    monkeypatch.setattr("orchestrator.tracking.run.trial_note", wrong)
    ended = CliRunner().invoke(app, ["run", str(tmp_path / "sweep.yaml"), "--executor", "inline"])
    assert ended.exit_code == ExitCode.DEFECT
    (line,) = ended.stderr.splitlines()
    assert "AttributeError: no such thing" in line
    assert "can't be written" not in ended.stdout
