from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.report.grid_axes import grid_axes
from analysis.results.sweep import SampledGrid
from analysis.statistics.relabeling import Design
from tests.analysis.simulated import simulated_sweep


def trials(**columns: object) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_coupled_axes_are_one_and_learning_rates_are_matched_by_index() -> None:
    axes = grid_axes(simulated_sweep().table.drop_duplicates("trial_id"))
    assert set(axes.labels) == {"optimizer", "learning_rate & batch_size", "weight_decay"}
    assert axes.averaged == tuple(axes.labels)
    assert [len(set(codes)) for codes in axes.labels.values()] == [2, 3, 5]
    assert len(set(axes.cells)) == 30


def test_seeds_are_repeats_of_a_configuration() -> None:
    axes = grid_axes(simulated_sweep(seeds=(0, 1, 2)).table.drop_duplicates("trial_id"))
    assert len(axes.cells) == 90
    assert len(set(axes.cells)) == 30
    assert "seed" not in axes.labels


def test_an_optimizer_with_other_numbers_of_values_is_held_but_not_judged() -> None:
    axes = grid_axes(
        trials(
            optimizer=["sgd", "sgd", "sgd", "adam", "adam"],
            learning_rate=[0.1, 0.2, 0.3, 0.01, 0.02],
            gap_loss=[0.1, 0.2, 0.3, 0.4, 0.5],
        )
    )
    assert axes.averaged == ("learning_rate",)
    assert set(axes.labels) == {"optimizer", "learning_rate"}


def random_trials(n: int, seed: int = 0) -> tuple[pd.DataFrame, SampledGrid]:
    """A sample of a grid of 10⁴ values on two axes, of which another two are coupled."""
    values = [k / 1000 for k in range(10_000)]
    rng = np.random.default_rng(seed)
    a, b, c = (rng.choice(10_000, n, replace=False) for _ in range(3))
    frame = trials(optimizer="sgd", a=np.take(values, a), b=np.take(values, b), c=np.take(values, c), d=2 * c)
    known: dict[tuple[str, str], Sequence[object]] = {("sgd", name): values for name in "abc"}
    known["sgd", "d"] = [2 * k for k in range(10_000)]
    return frame, SampledGrid((frozenset("cd"),), known)


def test_axes_of_a_sample_that_vary_together_by_chance_are_not_coupled() -> None:
    frame, grid = random_trials(20)
    assert set(grid_axes(frame).labels) == {"a & b & c & d"}  # each value once: as if all were one axis
    assert set(grid_axes(frame, grid=grid).labels) == {"a", "b", "c & d"}


def test_a_sample_is_not_taken_for_a_complete_grid() -> None:
    frame, grid = random_trials(20)
    without, with_grid = (Design.of(grid_axes(frame, grid=each).labels).null() for each in (None, grid))
    assert without.levels
    assert not with_grid.levels
    assert "configurations of the grid are missing" in with_grid.why_cells


def test_values_that_were_not_drawn_keep_their_place_among_those_of_their_optimizer() -> None:
    frame = trials(optimizer=["sgd"] * 2 + ["adam"] * 2, lr=[0.1, 0.3, 0.01, 0.02], clip=[None, 1.0, None, 2.0])
    known: dict[tuple[str, str], Sequence[object]] = {("sgd", "lr"): [0.3, 0.2, 0.1], ("adam", "lr"): [0.02, 0.01]}
    known["sgd", "clip"] = [None, 1.0]
    axes = grid_axes(frame, grid=SampledGrid((), known))
    assert axes.labels["lr"].tolist() == [0, 2, 0, 1]
    assert axes.labels["clip"].tolist() == [1, 0, 1, 0]
    assert axes.averaged == ("lr", "clip")  # SGD has three learning rates, and Adam has two


def test_axes_of_a_product_are_apart() -> None:
    axes = grid_axes(trials(optimizer="sgd", a=[1, 1, 2, 2], b=[1, 2, 1, 2]))
    assert list(axes.labels) == ["a", "b"]


def test_what_the_optimizer_determines_is_no_axis() -> None:
    axes = grid_axes(trials(optimizer=["sgd", "adam"], momentum=[0.9, np.nan], seed=[0, 0]))
    assert list(axes.labels) == ["optimizer"]


def test_one_trial_has_no_axes() -> None:
    axes = grid_axes(trials(optimizer=["sgd"], learning_rate=[0.1]))
    assert axes.labels == {}
    assert axes.cells.tolist() == [0]
