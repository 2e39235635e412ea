"""Measuring again from stored spectra: the same numbers as from the network, wherever the spectra suffice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.settings import SharpnessSettings
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.from_spectra import derivable, measure_from_spectra
from orchestrator.store.measurement import read_measured
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import TrialState, TrialStore
from tests.orchestrator.made_up import finish, measured
from trainables.trial.specs import TrialSpec

STORED = SharpnessSettings(samples=20, orders=(0.5, 1.5), measures=("renyi", "l2"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"orders": (2.0,)}, True),
        ({"measures": ("trace", "lambda_max")}, True),  # read off the same spectra
        ({"measures": ("l2",)}, True),
        ({"measures": ("renyi_gauss_newton",)}, False),  # from other spectra
        ({"measures": ("renyi", "fisher_rao")}, False),
        ({"samples": 30}, False),
        ({"orders": (2.0,), "num_probes": 7}, False),
    ],
)
def test_orders_and_measures_are_derived_and_nothing_else(changes: dict[str, object], expected: bool) -> None:
    assert derivable(STORED.model_copy(update=changes), STORED) is expected


def test_new_orders_come_from_the_spectra_of_every_trained_trial(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, sweep_file: Callable[..., Path]
) -> None:
    finish(store, specs[:3], config.sharpness)
    other = load(str(sweep_file(("orders: [0.5, 1.5]", "orders: [2.0, 3.0]"), name="other.yaml")))
    assert measure_from_spectra(make_plan(other)) == [spec.trial_id for spec in specs[:3]]
    plan = make_plan(other)
    assert plan.counts == {TrialState.MEASURED: 3, TrialState.PENDING: 1}
    found = read_measured(plan.store.measurement(specs[0].trial_id))
    assert found.rows == measured(other.sharpness).rows
    assert found.record["from"] == config.sharpness.measurement_id
    assert measure_from_spectra(plan) == []  # nothing more is missing
