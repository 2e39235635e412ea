"""The command as a user runs it: Ray Tune, the actor pool and MLflow in processes of their own, and killed ones."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.config.load import load
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import MEASURED_FILE, TrialState
from tests.faults.drivers import finished, start, wait_for
from trainables.trial.folder import TRAINED_FILE

pytestmark = pytest.mark.ray
SweepFile = Callable[..., Path]


def actors_with(variable: str) -> list[int]:
    """Measuring actors of this test's sweep: those whose environment names its storage folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
            if command.startswith(b"ray::MeasuringActor") and variable.encode() in environment:
                found.append(int(process.name))
    return found


def trial_ids_in_mlflow(path: Path) -> list[str]:
    config = load(str(path))
    client = MlflowClient(config.tracking_uri)
    experiment = client.get_experiment_by_name(config.name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`renyi.kind` = 'trial'")
    return [run.data.tags["renyi.trial_id"] for run in runs]


def test_a_sweep_cut_in_the_middle_repeats_nothing(storage: Path, sweep_file: SweepFile) -> None:
    path = sweep_file(("epochs: 2", "epochs: 12"), ("[1e-4, 1e-3]", "[1e-4, 1e-3, 1e-2]"))
    before: dict[str, int] = {}
    for stop, exit_code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        process = start(path, executor="ray")
        measured = len(list(storage.rglob(MEASURED_FILE)))
        wait_for(lambda measured=measured: len(list(storage.rglob(MEASURED_FILE))) > measured, process)  # type: ignore[misc]
        process.send_signal(stop)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == exit_code, output
        if stop != signal.SIGKILL:
            assert "interrupted" in output
        time.sleep(3)  # workers that outlive the driver for a moment may still finish their step
        assert {name: time for name, time in finished(storage).items() if name in before} == before
        before = finished(storage)
    states = make_plan(load(str(path))).counts
    assert 0 < states[TrialState.MEASURED] < 6

    process = start(path, executor="ray")
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert f"{6 - states[TrialState.MEASURED]} measured; 6 trials in all" in output
    assert {name: time for name, time in finished(storage).items() if name in before} == before
    assert len(finished(storage)) == 12
    ids = trial_ids_in_mlflow(path)
    assert len(ids) == len(set(ids)) == 6


def test_a_failing_trial_and_a_killed_measuring_actor_take_nothing_with_them(
    storage: Path, sweep_file: SweepFile
) -> None:
    path = sweep_file(("[0.05, 0.1]", "[0.05, 1e6]"), ("num_probes: 2", "num_probes: 20"))
    process = start(path, executor="ray")
    wait_for(lambda: any(storage.rglob(TRAINED_FILE)), process)
    victims = actors_with(str(storage))
    assert victims
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 1, output
    assert "2 trained, 2 measured; 4 trials in all" in output
    assert output.count("DivergedError: the training loss became") == 4


def test_what_cannot_fit_is_refused_before_anything_starts(storage: Path, sweep_file: SweepFile) -> None:
    path = sweep_file(("actors: 1", "actors: 1000"))
    process = start(path, executor="ray")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "the pool (1000 actors) takes 500 CPUs" in output
    assert "Traceback" not in output
    assert finished(storage) == {}
