from pathlib import Path

import pytest

from analysis.settings import SharpnessSettings
from orchestrator.store.cost import estimate_cost, passes_a_trial
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.trial.specs import TrialSpec


def spec(model: str = "digits_cnn", optimizer: str = "sgd", epochs: int = 4) -> TrialSpec:
    return TrialSpec.model_validate(
        {
            "data": {"dataset": "digits"},
            "model": model,
            "training": {"epochs": epochs, "batch_size": 50},
            "optimizer": {"name": optimizer, "learning_rate": 0.1},
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> TrialStore:
    return TrialStore(str(tmp_path), "0123456789ab")


def test_training_costs_twice_with_sam_and_in_proportion_to_the_epochs(store: TrialStore) -> None:
    def seconds(*specs: TrialSpec) -> float:
        states = {each.trial_id: TrialState.PENDING for each in specs}
        cost = estimate_cost(list(specs), states, SharpnessSettings(), store)
        assert cost is not None
        return cost.train_seconds

    assert seconds(spec(optimizer="sam")) == pytest.approx(2 * seconds(spec()))
    assert seconds(spec(epochs=8)) == pytest.approx(2 * seconds(spec()))
    assert seconds(spec(), spec(epochs=8)) == pytest.approx(3 * seconds(spec()))


def test_measures_of_many_passes_cost_more_and_shared_passes_count_once(store: TrialStore) -> None:
    def seconds(*measures: str) -> float:
        trial = spec()
        settings = SharpnessSettings(measures=measures)
        cost = estimate_cost([trial], {trial.trial_id: TrialState.TRAINED}, settings, store)
        assert cost is not None
        return cost.measure_seconds

    assert seconds("l2", "avg") > seconds("l2")
    assert seconds("pacbayes_flat", "pacbayes_orig") == pytest.approx(seconds("pacbayes_flat"))
    assert seconds("pacbayes_flat", "pacbayes_mag_flat") > seconds("pacbayes_flat")


def test_the_passes_of_a_trial_are_told_apart() -> None:
    everything = SharpnessSettings.model_validate({"measures": "all", "max_products": 400})
    passes = passes_a_trial(everything)
    assert passes["spectra (at most)"] == 2 * 5 * 400
    assert passes["relative_flatness"] == 500
    assert passes["pac_bayes"] == passes["pac_bayes_magnitude"] == 160
    assert "l2" not in passes
    assert list(passes.values()) == sorted(passes.values(), reverse=True)
    assert passes_a_trial(SharpnessSettings(measures=("l2", "dist_l2", "my.measure"))) == {}
    assert list(passes_a_trial(SharpnessSettings(measures=("trace_imbalance",)))) == ["spectra (at most)"]


def test_a_network_of_unknown_size_has_no_cost_before_its_first_trial(store: TrialStore) -> None:
    trial = spec(model="my.network")
    assert estimate_cost([trial], {trial.trial_id: TrialState.PENDING}, SharpnessSettings(), store) is None


def test_a_limit_on_concurrent_trials_makes_training_take_longer(store: TrialStore) -> None:
    trials = [spec(epochs=epochs) for epochs in range(1, 30)]
    states = {each.trial_id: TrialState.PENDING for each in trials}
    costs = [estimate_cost(trials, states, SharpnessSettings(), store, max_concurrent=most) for most in (None, 1, 999)]
    free, one, many = (cost.wall_seconds for cost in costs if cost is not None)
    assert one == pytest.approx(max(free, costs[1].train_seconds if costs[1] else 0))
    assert many == free <= one
