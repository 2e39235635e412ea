"""Training, or a measurement, that ends its process every time is given up and told, and takes no other with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.load import load
from orchestrator.executors import watched_actor
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import TrialState
from tests.faults.drivers import run
from trainables.training import watched

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


def test_what_kills_its_process_fails_alone(storage: Path, sweep_file: Callable[..., Path]) -> None:
    path = sweep_file(
        ("model: digits_cnn", "model: tests.faults.deadly.fate_by_seed"),
        ("[renyi, renyi_gauss_newton, trace, lambda_max, l2]", "[l2, tests.faults.deadly.kills_small_weights]"),
        ("weight_decay: [1e-4, 1e-3]", "weight_decay: 1e-3"),
        ("learning_rate: [0.05, 0.1]", "learning_rate: 0.1"),
        ("batch_size: 64", "batch_size: 64, silence_limit: 10s"),
        ("sharpness:", "seeds: [0, 1, 2, 3, 4]\nsharpness:"),
    )
    exit_code, output = run(path, executor="ray")
    assert exit_code == 1, output
    assert "Traceback" not in output, output
    plan = make_plan(load(str(path)))
    assert plan.counts == {TrialState.MEASURED: 1, TrialState.FAILED: 4}, output
    killed = "its process was killed (SIGKILL), as the system does when memory runs out"
    expected = {
        1: ("training", f"its process was lost {watched.MAX_PROCESSES} times: {killed}"),
        2: ("measuring", f"the task everything ended its process {watched_actor.MAX_PROCESSES} times: {killed}"),
        3: ("training", "SystemExit: no licence for this network"),
        4: ("training", "no sign of life for 10 s (training.silence_limit), in "),
    }
    for spec in plan.failed:
        failure = plan.store.failure(spec.trial_id)
        stage, reason = expected[spec.seed]
        assert failure.stage == stage
        assert failure.reason.startswith(reason)
        assert f"in {stage}: {failure.reason}" in output
