"""What can't work together is told before anything is trained."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.load import MAX_PROBLEMS, load
from orchestrator.errors import UsageError

SweepFile = Callable[..., Path]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("samples: 20", "samples: 1001", "sharpness.samples: must be at most 1000, the number of training images"),
        ("samples: 20, ", "", "must be at most 1000, the number of training images; got 2000 (the default)"),
        ("dataset: digits", "dataset: digits, validation: 985", "sharpness.samples: must be at most 15"),
        ("dataset: digits", "dataset: digits, validation: 1000", "data.validation: must be less than the 1000"),
        ("dataset: digits", "dataset: digits, mean: [0.5]", "data.mean: digits has its own and ignores it"),
        ("dataset: digits", "dataset: digits, std: [0.5]", "data.std: digits has its own and ignores it"),
        ("dataset: digits", "dataset: cifar10, mean: [.nan, 0, 0]", "data.mean: must be finite"),
    ],
)
def test_it_is_named_with_its_key(sweep_file: SweepFile, old: str, new: str, expected: str) -> None:
    path = sweep_file((old, new))
    with pytest.raises(UsageError) as caught:
        load(str(path))
    assert len(caught.value.problems) == 1
    assert expected in caught.value.problems[0]


def test_a_grid_that_nobody_can_run_is_not_expanded(sweep_file: SweepFile) -> None:
    values = ", ".join(f"{n + 1}e-5" for n in range(100))
    axes = "".join(f"\n    {name}: [{values}]" for name in ("rho", "learning_rate_floor", "gradient_clip"))
    with pytest.raises(UsageError, match="grid: has 4 000 000 combinations; draw some of them"):
        load(str(sweep_file(("optimizer: sgd", f"optimizer: sam{axes}"))))


def test_many_problems_are_counted_and_not_all_shown(sweep_file: SweepFile) -> None:
    with pytest.raises(UsageError) as caught:
        load(str(sweep_file(("[0.05, 0.1]", str(["x"] * 100)))))
    assert len(caught.value.problems) == MAX_PROBLEMS + 1
    assert "and 50 more problems" in caught.value.problems[-1]


def test_anchors_may_be_kept_under_keys_of_ones_own(sweep_file: SweepFile) -> None:
    path = sweep_file(
        ("name: small", "x-shared: &shared\n  momentum: 0.5\n  weight_decay: [1e-4, 1e-3]\nname: small"),
        ("    weight_decay: [1e-4, 1e-3]\n", "    <<: *shared\n"),
    )
    assert {axis.names for axis in load(str(path)).grid[0].axes} == {
        ("momentum",),
        ("weight_decay",),
        ("learning_rate",),
    }
