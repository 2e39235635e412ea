"""From a validated sweep to the list of its trials."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from pydantic import ValidationError

from analysis.garbage import no_garbage_collection
from orchestrator.config.grid import SubGrid
from orchestrator.config.problems import ConfigProblem
from orchestrator.config.sampling import Sample, in_order, num_combinations, shuffled
from orchestrator.config.sweep_config import SweepConfig, TrainingConfig
from trainables.trial.specs import DataSpec, TrainingSpec, TrialSpec

_TRAINING = frozenset(TrainingSpec.model_fields)
MOST_COMBINATIONS = 1_000_000  # that are tried one after the other; a larger grid is sampled

Attempt = tuple[int, TrialSpec | ValidationError]  # the sub-grid's index, and its trial or why there is none


def expand(config: SweepConfig) -> list[TrialSpec]:
    """All trials of a sweep, in the order of its grid; seeds vary fastest. A trial that two sub-grids share comes once.

    Of a sweep with a `sample`, the trials that were drawn, in the order of the draw.

    Raises:
        ValidationError: a combination is not a valid trial (`load` reports these as problems of the file).
    """
    trials: dict[str, TrialSpec] = {}
    for _, found in _attempted(_Trials.of(config)):
        if isinstance(found, ValidationError):
            raise found
        trials[found.trial_id] = found
    return list(trials.values())


def check_combinations(config: SweepConfig) -> list[ConfigProblem]:
    """The problems of combinations whose values are all valid by themselves: a missing axis, too long a warm-up.

    Of a sample, those of the combinations that were drawn.
    """
    count = num_combinations(config.grid, config.seeds)
    if config.sample is None and count > MOST_COMBINATIONS:
        shown = f"{count:,}".replace(",", " ")
        return [ConfigProblem("grid", f"has {shown} combinations; draw some of them: `sample: {{trials: 100}}`")]
    problems: dict[ConfigProblem, None] = {}
    for index, found in _attempted(_Trials.of(config)):
        if isinstance(found, ValidationError):
            for detail in found.errors():
                name = str(detail["loc"][-1]) if detail["loc"] else ""
                message = (
                    f"{name} is missing; give it a value or a list of values here"
                    if detail["type"] == "missing"
                    else detail["msg"].removeprefix("Value error, ")
                )
                problems[ConfigProblem(f"grid[{index}]", message)] = None
    return list(problems)


@dataclass(frozen=True)
class _Trials:
    """The part of a sweep that its trials follow from."""

    grid: tuple[SubGrid, ...]
    seeds: tuple[int, ...]
    sample: Sample | None
    data: DataSpec
    model: str
    training: TrainingConfig
    codes: tuple[tuple[str, str], ...]  # digests of the user's own models, where they are part of a trial's identity

    @classmethod
    def of(cls, config: SweepConfig) -> "_Trials":
        return cls(
            config.grid,
            config.seeds,
            config.sample,
            config.data,
            config.model,
            config.training,
            tuple(config.codes.items()),
        )

    @cached_property
    def options(self) -> dict[str, Any]:
        """The options of training that all trials share."""
        return self.training.model_dump(exclude_unset=True)


@lru_cache(maxsize=1)
def _attempted(config: _Trials) -> tuple[Attempt, ...]:
    """All attempts, kept from the check of a file to its plan: 100 000 take 5 s."""
    with no_garbage_collection():
        return tuple(_attempts(config))


def _attempts(config: _Trials) -> Iterator[Attempt]:
    """Every combination of the grid, or those that are drawn, made into a trial."""
    if config.sample is not None:
        yield from _drawn(config, config.sample.trials, config.sample.seed)
        return
    for index, sub_grid in enumerate(config.grid):
        for point in sub_grid.points():
            for seed in config.seeds:
                yield index, _attempt(config, sub_grid, point, seed)


def _drawn(config: _Trials, trials: int, seed: int) -> Iterator[Attempt]:
    """Random combinations until there are as many trials as wanted; those that are not valid count too.

    A trial that sub-grids share is drawn as one of the first of them only, so that it is no likelier than others.
    """
    seen: set[str] = set()
    invalid = 0
    order = in_order(config.grid)
    for index, point, trial_seed in shuffled(config.grid, config.seeds, seed):
        found = _attempt(config, config.grid[index], point, trial_seed)
        if isinstance(found, ValidationError):
            invalid += 1
        elif found.trial_id in seen or any(
            _contains(config, config.grid[other], found) for other in order[: order.index(index)]
        ):
            continue
        else:
            seen.add(found.trial_id)
        yield index, found
        if len(seen) + invalid == trials:
            return


def _contains(config: _Trials, sub_grid: SubGrid, spec: TrialSpec) -> bool:
    """Whether a trial is one of a sub-grid's."""
    if sub_grid.optimizer != spec.optimizer.name:
        return False
    point: dict[str, Any] = {}
    for axis in sub_grid.axes:
        values = tuple(_value(spec, name) for name in axis.names)
        if values not in axis.values:
            return False
        point |= zip(axis.names, values, strict=True)
    found = _attempt(config, sub_grid, point, spec.seed)
    return isinstance(found, TrialSpec) and found.trial_id == spec.trial_id


def _value(spec: TrialSpec, axis: str) -> Any:
    owner = spec if axis == "model" else spec.training if axis in TrainingSpec.model_fields else spec.optimizer
    return getattr(owner, axis)


def _attempt(config: _Trials, sub_grid: SubGrid, point: Mapping[str, Any], seed: int) -> TrialSpec | ValidationError:
    """The trial at one point of the grid: the sweep's model and training settings, overridden by the axes."""
    training, optimizer = dict(config.options), {"name": sub_grid.optimizer}
    others: dict[str, Any] = {"data": config.data, "model": config.model}
    for name, value in point.items():
        target = training if name in _TRAINING else others if name == "model" else optimizer
        target[name] = value
    others["code"] = dict(config.codes).get(others["model"])
    try:
        return TrialSpec.model_validate({**others, "training": training, "optimizer": optimizer, "seed": seed})
    except ValidationError as error:
        return error
