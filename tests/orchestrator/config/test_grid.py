"""The syntax of a grid: sub-grids of axes, and every mistake in them at once."""

import pytest

from orchestrator.config.grid import Axis, SubGrid, parse_grid


def test_the_last_axis_varies_fastest() -> None:
    (sub_grid,), problems = parse_grid([{"optimizer": "sgd", "learning_rate": [0.1, 0.2], "momentum": [0, 0.9]}])
    assert problems == []
    assert [(point["learning_rate"], point["momentum"]) for point in sub_grid.points()] == [
        (0.1, 0),
        (0.1, 0.9),
        (0.2, 0),
        (0.2, 0.9),
    ]


def test_coupled_axes_are_one_axis_of_tuples() -> None:
    coupled = {"learning_rate": [0.1, 0.2], "batch_size": [32, 64]}
    (sub_grid,), problems = parse_grid([{"optimizer": "adam", "coupled": coupled}])
    assert problems == []
    assert sub_grid == SubGrid("adam", (Axis(("learning_rate", "batch_size"), ((0.1, 32), (0.2, 64))),))


def test_a_single_value_is_an_axis_of_one_point() -> None:
    (sub_grid,), _ = parse_grid([{"optimizer": "sgd", "learning_rate": 1e-3}])
    assert list(sub_grid.points()) == [{"learning_rate": 0.001}]


def test_the_mistakes_of_all_sub_grids_are_found_together() -> None:
    found, problems = parse_grid(
        [
            {"optimizer": "sdg"},
            {"optimizer": "sgd", "learning_rate": [-1, 0.1], "rho": 0.05},
            {"optimizer": "sgd", "learning_rate": 0.1, "coupled": {"learning_rate": [0.1], "batch_size": [8]}},
        ]
    )
    assert {problem.key for problem in problems} == {
        "grid[0].optimizer",
        "grid[1].learning_rate[0]",
        "grid[1].rho",
        "grid[2].learning_rate",
    }
    assert [sub_grid.optimizer for sub_grid in found] == ["sgd", "sgd"]


@pytest.mark.parametrize("raw", [None, [], {}, "sgd"])
def test_what_is_no_list_of_sub_grids_is_one_problem(raw: object) -> None:
    found, (problem,) = parse_grid(raw)
    assert found == ()
    assert problem.key == "grid"
