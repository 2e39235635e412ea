"""From a validated sweep to the list of its trials."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from analysis.garbage import no_garbage_collection
from orchestrator.config.problems import ConfigProblem
from orchestrator.config.sweep_config import SweepConfig
from trainables.trial.specs import TrainingSpec, TrialSpec

_TRAINING = frozenset(TrainingSpec.model_fields)


def expand(config: SweepConfig) -> list[TrialSpec]:
    """All trials of a sweep, in the order of its grid; seeds vary fastest. A trial that two sub-grids share comes once.

    Raises:
        ValidationError: a combination is not a valid trial (`load` reports these as problems of the file).
    """
    return list(_expanded(config))


@lru_cache(maxsize=1)
def _expanded(config: SweepConfig) -> tuple[TrialSpec, ...]:
    """The trials, kept from the check of a file to its plan: 100 000 take 5 s."""
    with no_garbage_collection():
        trials = {spec.trial_id: spec for spec in _specs(config)}
    return tuple(trials.values())


def check_combinations(config: SweepConfig) -> list[ConfigProblem]:
    """The problems of combinations whose values are all valid by themselves: a missing axis, too long a warm-up."""
    try:
        _expanded(config)
    except ValidationError:
        return list(dict.fromkeys(_problems(config)))
    return []


def _problems(config: SweepConfig) -> Iterator[ConfigProblem]:
    for index, sub_grid in enumerate(config.grid):
        fixed = _Fixed(config, sub_grid.optimizer)
        for point in sub_grid.points():
            try:
                fixed.spec(point, seed=0)
            except ValidationError as error:
                for detail in error.errors():
                    name = str(detail["loc"][-1]) if detail["loc"] else ""
                    message = (
                        f"{name} is missing; give it a value or a list of values here"
                        if detail["type"] == "missing"
                        else detail["msg"].removeprefix("Value error, ")
                    )
                    yield ConfigProblem(f"grid[{index}]", message)


def _specs(config: SweepConfig) -> Iterator[TrialSpec]:
    for sub_grid in config.grid:
        fixed = _Fixed(config, sub_grid.optimizer)
        for point in sub_grid.points():
            for seed in config.seeds:
                yield fixed.spec(point, seed)


class _Fixed:
    """What the trials of a sub-grid share."""

    def __init__(self, config: SweepConfig, optimizer: str) -> None:
        self._shared = {"data": config.data, "model": config.model}
        self._training = config.training.model_dump(exclude_unset=True)
        self._optimizer = optimizer

    def spec(self, point: Mapping[str, Any], seed: int) -> TrialSpec:
        """The trial at one point of the grid: the sweep's model and training settings, overridden by the axes."""
        training, optimizer, others = dict(self._training), {"name": self._optimizer}, dict(self._shared)
        for name, value in point.items():
            target = training if name in _TRAINING else others if name == "model" else optimizer
            target[name] = value
        return TrialSpec.model_validate({**others, "training": training, "optimizer": optimizer, "seed": seed})
