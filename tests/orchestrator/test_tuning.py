from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config import load
from orchestrator.errors import UsageError
from orchestrator.tuning import check_resources

SweepFile = Callable[..., Path]


def test_pool_and_a_trial_must_fit_side_by_side(sweep_file: SweepFile) -> None:
    check_resources(load(str(sweep_file())), {"CPU": 1.0})
    with pytest.raises(UsageError, match=r"pool \(1 actors\) takes 0.5 CPUs and a trial 0.5, together 1; .* has 0.9"):
        check_resources(load(str(sweep_file())), {"CPU": 0.9})


def test_gpus_that_are_not_there_are_refused(sweep_file: SweepFile) -> None:
    config = load(str(sweep_file(("actors: 1", "actors: 2, gpus: 0.25"), ("trial: {", "trial: {gpus: 1, "))))
    with pytest.raises(UsageError, match=r"takes 0.5 GPUs and a trial 1, together 1.5; the cluster has 0"):
        check_resources(config, {"CPU": 8.0})
