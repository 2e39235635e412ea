"""A measurement that ends its process every time is given up and told, and takes no other with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config import load
from orchestrator.measuring_pool import MAX_DEATHS
from orchestrator.plan import make_plan
from orchestrator.trial_store import TrialState
from tests.faults.drivers import run

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

MEASURE = "tests.faults.deadly_measures.kills_small_weights"


def test_a_measurement_that_kills_its_actor_fails_alone(storage: Path, sweep_file: Callable[..., Path]) -> None:
    path = sweep_file(
        ("[renyi, renyi_gauss_newton, trace, lambda_max, l2]", f"[l2, {MEASURE}]"),
        ("weight_decay: [1e-4, 1e-3]", "weight_decay: [9.0, 1e-3]"),  # the first shrinks its weights to nothing
        ("learning_rate: [0.05, 0.1]", "learning_rate: [0.1]"),
        ("  - optimizer", "  - {optimizer: sgd, learning_rate: [0.05, 0.2]}\n  - optimizer"),
    )
    exit_code, output = run(path, executor="ray")
    assert exit_code == 1, output
    assert "3 trained, 3 measured; 4 trials in all" in output, output
    assert "Traceback" not in output
    plan = make_plan(load(str(path)))
    (failed,) = plan.failed
    assert failed.optimizer.weight_decay == 9.0
    assert plan.counts[TrialState.MEASURED] == 3
    failure = plan.store.failure(failed.trial_id)
    assert failure.stage == "measuring"
    assert failure.reason.startswith(f"the task everything ended its process {MAX_DEATHS} times: ")
    assert f"in measuring: {failure.reason}" in output
