"""Samples of grids, small enough to count or too large to build."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.expand import expand
from orchestrator.config.grid import SubGrid, parse_grid
from orchestrator.config.load import load
from orchestrator.config.sampling import num_combinations, permuted, shuffled
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError

LARGE: Mapping[str, Any] = {
    "optimizer": "rsam",
    "learning_rate": [k / 1000 for k in range(1, 101)],
    "weight_decay": [k / 1000 for k in range(100)],
    "rho": [k / 100 for k in range(100)],
    "order": [2 + k / 100 for k in range(100)],
    "coupled": {"batch_size": list(range(1, 101)), "epochs": list(range(101, 201))},
    "gradient_clip": [None, *(k / 10 for k in range(1, 100))],
}  # 100⁶ = 10¹² combinations


def of(*grid: Mapping[str, Any], trials: int = 100, seed: int = 0, seeds: tuple[int, ...] = (0,)) -> SweepConfig:
    """A sweep with a sample of a grid."""
    parsed, problems = parse_grid(list(grid))
    assert not problems
    return SweepConfig.model_validate(
        {
            "name": "sampled",
            "data": {"dataset": "digits"},
            "model": "digits_cnn",
            "training": {"epochs": 2, "batch_size": 64},
            "grid": parsed,
            "seeds": seeds,
            "sample": {"trials": trials, "seed": seed},
        }
    )


def ids(config: SweepConfig) -> list[str]:
    return [spec.trial_id for spec in expand(config)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 100, 1000])
def test_numbers_are_permuted(size: int) -> None:
    for seed in range(3):
        assert sorted(permuted(index, size, seed) for index in range(size)) == list(range(size))
    far = 10**30 + size
    assert len({permuted(index, far, 0) for index in range(200)}) == 200
    assert all(permuted(index, far, 0) < far for index in range(200))


def test_a_grid_of_a_trillion_combinations_is_drawn_from_without_being_built() -> None:
    config = of(LARGE, trials=200)
    assert num_combinations(config.grid, config.seeds) == 10**12
    assert len(set(ids(config))) == 200


def test_a_smaller_sample_is_the_beginning_of_a_larger_one_and_another_seed_gives_another() -> None:
    large = ids(of(LARGE, trials=200))
    assert ids(of(LARGE, trials=100)) == large[:100]
    assert not set(ids(of(LARGE, trials=100, seed=1))) & set(large)


def test_the_order_in_which_the_file_lists_things_does_not_matter() -> None:
    def reversed_(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: reversed_(value[name]) for name in reversed(value)}
        return value[::-1] if isinstance(value, list) else value

    small = {"optimizer": "adam", "learning_rate": [0.1, 0.2, 0.3], "weight_decay": [0, 1e-4]}
    assert ids(of(LARGE, small, seeds=(0, 1, 2))) == ids(of(reversed_(small), reversed_(LARGE), seeds=(2, 0, 1)))


def test_a_sample_that_is_as_large_as_the_grid_is_the_grid() -> None:
    small = {"optimizer": "sgd", "learning_rate": [0.1, 0.2, 0.3], "weight_decay": [0, 1e-4]}
    whole = of(small, small, seeds=(0, 1)).model_copy(update={"sample": None})
    for trials in (12, 13, 1000):
        assert sorted(ids(of(small, small, seeds=(0, 1), trials=trials))) == sorted(ids(whole))


def test_trials_that_sub_grids_share_are_no_likelier_than_others() -> None:
    first = {"optimizer": "sgd", "learning_rate": [0.1, 0.2], "weight_decay": [0, 1e-4]}
    second = {"optimizer": "sgd", "learning_rate": [0.2, 0.3, 0.4], "momentum": 0.9}  # weight_decay 0: its default
    counts = Counter(ids(of(first, second, trials=1, seed=seed))[0] for seed in range(1200))
    assert len(counts) == 6
    assert all(abs(count - 200) < 65 for count in counts.values())  # 5 standard deviations


def test_pairs_of_trials_are_drawn_alike_often() -> None:
    grid, _ = parse_grid([{"optimizer": "sgd", "learning_rate": [1, 2, 3]}])
    counts: Counter[tuple[float, ...]] = Counter()
    for seed in range(1200):
        drawn = list(shuffled(grid, (0,), seed))
        counts[tuple(point["learning_rate"] for _, point, _ in drawn)] += 1
    assert set(counts) == set(permutations((1.0, 2.0, 3.0)))
    assert all(abs(count - 200) < 65 for count in counts.values())


def test_options_that_leave_the_trial_as_it_is_make_no_second_trial() -> None:
    both = {"learning_rate": [0.1, 0.1, 0.2, 0.2], "keep_best": [False, True, False, True]}
    config = of({"optimizer": "sgd", "coupled": both}, trials=4)
    assert len(ids(config)) == len(set(ids(config))) == 2


def test_a_grid_that_is_too_large_is_refused_with_the_remedy(sweep_file: Callable[..., Path]) -> None:
    sub_grid = json.dumps({name: value for name, value in LARGE.items() if name != "optimizer"})
    path = sweep_file(
        ("  - optimizer: sgd\n    learning_rate: [0.05, 0.1]\n    weight_decay: [1e-4, 1e-3]", f"  - {sub_grid}"),
        ("training: {epochs: 2, batch_size: 64}", "training: {epochs: 2}"),
    )
    path.write_text(path.read_text().replace("  - {", "  - {optimizer: rsam, "))
    with pytest.raises(UsageError, match=r"grid: has 1 000 000 000 000 combinations; .*sample: \{trials: 100\}"):
        load(str(path))
    path.write_text(path.read_text() + "sample: {trials: 30}\n")
    assert len(expand(load(str(path)))) == 30


@pytest.mark.parametrize(
    ("sample", "problem"),
    [
        ("{trials: 0}", "sample.trials: .*greater than 0; got 0"),
        ("{trials: 2, sed: 1}", "sample.sed: unknown key; did you mean seed?"),
        ("{seed: 1}", "sample.trials: is missing"),
        ("100", "sample: "),
    ],
)
def test_mistakes_are_reported(sweep_file: Callable[..., Path], sample: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        load(str(sweep_file(("name: small", f"name: small\nsample: {sample}"))))


def test_a_combination_that_is_drawn_and_not_valid_is_reported(sweep_file: Callable[..., Path]) -> None:
    path = sweep_file(
        ("name: small", "name: small\nsample: {trials: 3}"),
        ("    learning_rate: [0.05, 0.1]", "    warmup_epochs: [2, 3, 4]"),
    )
    with pytest.raises(UsageError) as caught:
        load(str(path))
    assert "learning_rate is missing" in str(caught.value)
    assert "must be less than epochs" in str(caught.value)


def test_sub_grids_know_their_sizes() -> None:
    parsed, _ = parse_grid([{"optimizer": "sgd", "learning_rate": [0.1, 0.2], "coupled": {"rho": [1]}}])
    assert all(isinstance(each, SubGrid) and each.size == len(list(each.points())) for each in parsed)
