import itertools
import math

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.statistics import Design, adjusted_p_values, kendall_taus, permuted_taus


def full_grid(*sizes: int, seeds: int = 1) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Axes a, b, … of these sizes, and the seeds, of every model of a complete grid in a random order."""
    codes = np.array(list(itertools.product(*(range(size) for size in sizes), range(seeds))))
    codes = np.random.default_rng(0).permutation(codes)
    return {"abcdef"[axis]: codes[:, axis] for axis in range(len(sizes))}, codes[:, -1]


def test_all_relabelings_of_a_grid_are_used_where_they_are_few() -> None:
    axes, seeds = full_grid(2, 3, 5)
    null = Design.of(axes, seeds).null()
    assert (null.levels, null.exact, null.permutations.shape) == (True, True, (1439, 30))
    assert str(null) == "all 1 440 relabelings of the axes' levels"
    everything = {tuple(row) for row in null.permutations}
    assert len(everything) == 1439
    assert tuple(range(30)) not in everything


def test_a_relabeling_moves_levels_as_wholes_and_keeps_seeds() -> None:
    axes, seeds = full_grid(3, 4, seeds=3)
    null = Design.of(axes, seeds).null()
    assert null.exact
    for row in null.permutations[::17]:
        assert sorted(row) == list(range(36))
        np.testing.assert_array_equal(seeds[row], seeds)
        for values in axes.values():
            assert len({(old, new) for old, new in zip(values, values[row], strict=True)}) == len(set(values))


def test_an_axis_that_is_conditioned_on_stays() -> None:
    axes, seeds = full_grid(2, 3, 5)
    null = Design.of(axes, seeds).null(groups=axes["a"])
    assert len(null.permutations) == 719
    assert (axes["a"][null.permutations] == axes["a"]).all()


def test_many_relabelings_are_drawn() -> None:
    axes, seeds = full_grid(3, 4, 5)
    null = Design.of(axes, seeds).null(draws=300, seed=1)
    assert (null.levels, null.exact, null.permutations.shape) == (True, False, (300, 60))
    np.testing.assert_array_equal(null.permutations, Design.of(axes, seeds).null(draws=300, seed=1).permutations)
    for row in null.permutations[:9]:
        assert all(len(set(zip(values, values[row], strict=True))) == len(set(values)) for values in axes.values())


def test_where_levels_cannot_be_relabeled_configurations_are_exchanged_and_the_reason_given() -> None:
    axes, seeds = full_grid(3, 4, seeds=2)
    configuration = axes["a"] * 4 + axes["b"]
    missing = Design.of({name: values[configuration > 0] for name, values in axes.items()}, seeds[configuration > 0])
    assert str(missing.null(draws=50)).endswith("(1 of 12 configurations of the grid are missing)")
    uneven = Design.of({name: values[1:] for name, values in axes.items()}, seeds[1:])
    assert str(uneven.null(draws=50)).endswith("(configurations have 1 to 2 seeds)")
    few = Design.of(*full_grid(3, 3)).null(draws=50)
    assert str(few) == "50 permutations of configurations (the axes have only 36 relabelings)"
    assert str(Design.of_cells(5).null(draws=50)).endswith("(no axis varies)")
    whole = Design.of(axes, seeds).null(groups=configuration % 5, draws=50)
    assert str(whole).endswith("(the groups are not levels of an axis)")
    kept = uneven.null(groups=axes["a"][1:], draws=50).permutations
    assert (axes["a"][1:][kept] == axes["a"][1:]).all()
    labels = np.arange(23) % 2
    assert (Design.of_cells(23).null(groups=labels, draws=20).permutations % 2 == labels).all()


def test_two_by_two_models_have_four_relabelings() -> None:
    axes = {"a": [0, 0, 1, 1], "b": [0, 1, 0, 1]}
    x = np.arange(4.0)
    permuted = permuted_taus(x, x, Design.of(axes).null(least=1))
    np.testing.assert_allclose(sorted(permuted[:, 0]), [-1, -1 / 3, 1 / 3])
    assert adjusted_p_values(np.array([1.0]), permuted)[0] == pytest.approx(0.5)


def test_a_true_null_is_rejected_as_often_as_the_level_says() -> None:
    """Where both quantities follow the axes, but not each other, permuted cells reject in a third of the sweeps."""
    rng = np.random.default_rng(1)
    axes, _ = full_grid(2, 3, 5)
    nulls = [Design.of(axes).null(), Design.of_cells(30).null(draws=400)]
    rejected = np.zeros(2)
    for _ in range(25):
        draws = [sum(rng.normal(size=values.max() + 1)[values] for values in axes.values()) for _ in range(21)]
        x, y = np.split(math.sqrt(0.8 / 3) * np.array(draws) + math.sqrt(0.2) * rng.normal(size=(21, 30)), [20])
        tau = kendall_taus(x.T, y[0], draws=2).tau_b
        p_values = [adjusted_p_values(tau, permuted_taus(x.T, y[0], null))[0] for null in nulls]
        rejected += (np.array(p_values) < 0.05).mean(axis=1) / 25
    assert rejected[0] < 0.08
    assert rejected[1] > 0.15


def test_every_model_has_a_seed() -> None:
    with pytest.raises(AnalysisError, match="each of the 3 models; got 2"):
        Design.of({"a": [1, 2, 3]}, [0, 1])


def test_few_configurations_are_exchanged_in_every_way() -> None:
    null = Design.of_cells(5).null()
    assert null.exact
    assert {tuple(row) for row in null.permutations} == set(itertools.permutations(range(5))) - {(0, 1, 2, 3, 4)}
    paired = Design.of_cells(7, [0, 0, 1, 1, 2, 3, 3]).null(groups=[0, 0, 0, 0, 0, 1, 1])
    assert paired.permutations.tolist() == [[2, 3, 0, 1, 4, 5, 6]]
