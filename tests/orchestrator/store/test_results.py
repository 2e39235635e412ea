"""A sweep's results from its store: the measured trials in one tidy table, and what became of the others."""

import numpy as np
import pytest

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.plan import make_plan
from orchestrator.store.results import stored_sweep
from orchestrator.store.trial_store import TrialStore
from tests.orchestrator.made_up import SHIFTED, fail, finish, measured
from trainables.trial.specs import TrialSpec


def test_every_measured_trial_has_its_rows(config: SweepConfig, specs: list[TrialSpec], store: TrialStore) -> None:
    finish(store, specs[:2], config.sharpness)
    fail(store, specs[2], "ValueError: no")
    found = stored_sweep(make_plan(config))
    rows = measured(config.sharpness).rows
    assert len(found.table) == 2 * len(rows)
    assert set(found.table["trial_id"]) == {spec.trial_id for spec in specs[:2]}
    gaps = found.table.groupby("trial_id")["gap_loss"].first()
    assert [gaps[spec.trial_id] for spec in specs[:2]] == pytest.approx([0.2, 0.3])
    assert set(found.table["learning_rate"]) <= {0.05, 0.1}
    assert found.states == {"measured": 2, "failed": 1, "pending": 1}
    assert found.failures == {specs[2].trial_id: "ValueError: no"}
    assert set(found.spectra[specs[0].trial_id]) == {"fc.weight", "all"}
    assert stored_sweep(make_plan(config), spectra=False).spectra == {}


def test_shifts_are_columns_and_a_trial_without_one_has_no_number(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    finish(store, specs[:2], config.sharpness)
    store.trial(specs[0].trial_id).write_shift("noise_3", SHIFTED)
    found = stored_sweep(make_plan(config)).table.groupby("trial_id")["gap_loss_under_noise_3"].first()
    assert found[specs[0].trial_id] == pytest.approx(0.5)
    assert np.isnan(found[specs[1].trial_id])
