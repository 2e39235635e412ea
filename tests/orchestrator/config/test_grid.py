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


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("label_smoothing", [None, 0.1], [0.0, 0.1]),
        ("cutout", [None, 8], [None, 8]),
        ("mixup", [None, 0.2, 1], [None, 0.2, 1.0]),
        ("ema_decay", [None, 0.99], [None, 0.99]),
        ("milestones", [None, [30, 60]], [None, (30, 60)]),
        ("decay_factor", [None, 0.2], [None, 0.2]),
        ("drop_last", [False, True], [False, True]),
        ("nesterov", [False, True], [False, True]),
    ],
)
def test_a_recipe_is_an_axis_on_which_null_is_off(name: str, values: list[object], expected: list[object]) -> None:
    (sub_grid,), problems = parse_grid([{"optimizer": "sam", name: values}])
    assert problems == []
    assert [point[name] for point in sub_grid.points()] == expected


@pytest.mark.parametrize("values", [[None, 0], [0.0, 0], [None, None]])
def test_off_is_off_however_it_is_written(values: list[object]) -> None:
    _, (problem,) = parse_grid([{"optimizer": "sgd", "label_smoothing": values}])
    assert problem.message == "has the value 0.0 more than once; keep one"


def test_milestones_are_lists_and_an_axis_of_them_a_list_of_lists() -> None:
    _, problems = parse_grid([{"optimizer": "sgd", "milestones": [30, 60]}])
    assert [problem.key for problem in problems] == ["grid[0].milestones[0]", "grid[0].milestones[1]"]
    assert all("in a grid a list of such lists: [[30, 60]]" in problem.message for problem in problems)


def test_adam_has_no_momentum_to_look_ahead_with() -> None:
    _, problems = parse_grid([{"optimizer": "adamw", "nesterov": True}, {"optimizer": "adam", "nesterov": True}])
    assert [problem.message.partition(";")[0] for problem in problems] == [
        "adamw has no axis 'nesterov'",
        "adam has no axis 'nesterov'",
    ]


def test_an_axis_on_which_trials_do_not_differ_is_refused() -> None:
    _, problems = parse_grid([{"optimizer": "sgd", "learning_rate": [0.1], "compile": [True, False]}])
    assert [str(problem.key) for problem in problems] == ["grid[0].compile"]
    assert "changes how a trial is computed" in problems[0].message
    _, problems = parse_grid([{"optimizer": "sgd", "learning_rate": [0.1], "compile": [True]}])
    assert not problems
