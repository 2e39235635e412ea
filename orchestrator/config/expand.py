"""From a validated sweep to the list of its trials."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from orchestrator.config.grid import SubGrid
from orchestrator.config.problems import ConfigProblem
from orchestrator.config.sweep_config import SweepConfig
from trainables.trial.specs import TrainingSpec, TrialSpec


def expand(config: SweepConfig) -> list[TrialSpec]:
    """All trials of a sweep, in the order of its grid; seeds vary fastest. A trial that two sub-grids share comes once.

    Raises:
        ValidationError: a combination is not a valid trial (`load` reports these as problems of the file).
    """
    trials = {spec.trial_id: spec for _, spec in _specs(config)}
    return list(trials.values())


def check_combinations(config: SweepConfig) -> list[ConfigProblem]:
    """The problems of combinations whose values are all valid by themselves: a missing axis, too long a warm-up."""
    problems: dict[ConfigProblem, None] = {}
    for index, sub_grid in enumerate(config.grid):
        for point in sub_grid.points():
            try:
                _spec(config, sub_grid, point, seed=0)
            except ValidationError as error:
                for detail in error.errors():
                    name = str(detail["loc"][-1]) if detail["loc"] else ""
                    message = (
                        f"{name} is missing; give it a value or a list of values here"
                        if detail["type"] == "missing"
                        else detail["msg"].removeprefix("Value error, ")
                    )
                    problems[ConfigProblem(f"grid[{index}]", message)] = None
    return list(problems)


def _specs(config: SweepConfig) -> Iterator[tuple[SubGrid, TrialSpec]]:
    for sub_grid in config.grid:
        for point in sub_grid.points():
            for seed in config.seeds:
                yield sub_grid, _spec(config, sub_grid, point, seed)


def _spec(config: SweepConfig, sub_grid: SubGrid, point: Mapping[str, Any], seed: int) -> TrialSpec:
    """The trial at one point of the grid: the sweep's model and training settings, overridden by the axes."""
    training = config.training.model_dump(exclude_unset=True)
    training |= {name: value for name, value in point.items() if name in TrainingSpec.model_fields}
    optimizer = {name: value for name, value in point.items() if name not in TrainingSpec.model_fields}
    return TrialSpec.model_validate(
        {
            "data": config.data.model_dump(),
            "model": optimizer.pop("model", config.model),
            "training": training,
            "optimizer": {"name": sub_grid.optimizer, **optimizer},
            "seed": seed,
        }
    )
