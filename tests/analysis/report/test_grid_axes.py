import numpy as np
import pandas as pd

from analysis.report.grid_axes import grid_axes
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
