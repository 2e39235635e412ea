"""The grid in a sweep file: its syntax, and the points that it describes."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, TypeAdapter, ValidationError

from analysis.errors import closest, is_dotted
from analysis.section import CheckedNumbers
from orchestrator.config.problems import ConfigProblem, say, short, shown
from trainables.catalogue import NETWORKS
from trainables.trial.specs import OPTIMIZER_SPECS, ModelName, Spec, TrainingSpec

COUPLED = "coupled"


def _known_model(name: str) -> str:
    if name not in NETWORKS and not is_dotted(name):
        raise ValueError(f"unknown model {shown(name)}; {closest(name, NETWORKS)} (or a dotted path of your own)")
    return name


KnownModel = Annotated[ModelName, AfterValidator(_known_model)]


@dataclass(frozen=True)
class Axis:
    """Names that move together, and the values they take: one name for a plain axis, several for a coupled one."""

    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]  # a tuple of len(names) values for each point


@dataclass(frozen=True)
class SubGrid:
    """One optimizer's product of axes."""

    optimizer: str
    axes: tuple[Axis, ...]

    @property
    def size(self) -> int:
        """The number of its points."""
        return math.prod(len(axis.values) for axis in self.axes)

    def points(self) -> Iterator[dict[str, Any]]:
        """Every combination of the axes, the last axis running fastest."""
        for combination in itertools.product(*(axis.values for axis in self.axes)):
            yield {
                name: value
                for axis, values in zip(self.axes, combination, strict=True)
                for name, value in zip(axis.names, values, strict=True)
            }


def in_words(sub_grid: SubGrid) -> str:
    """A sub-grid in one line: `sgd × learning_rate in [0.05, 0.1] × momentum 0.9`."""
    parts = [sub_grid.optimizer]
    for axis in sub_grid.axes:
        values = [value[0] if len(value) == 1 else value for value in axis.values]
        names = ", ".join(axis.names)
        name = names if len(axis.names) == 1 else f"({names})"
        parts.append(f"{name} {values[0]}" if len(values) == 1 else f"{name} in {values}")
    return " × ".join(parts)


def values_of_axes(grid: Sequence[SubGrid]) -> dict[tuple[str, str], list[Any]]:
    """By optimizer and axis all values that the sub-grids give it."""
    values: dict[tuple[str, str], dict[Any, None]] = {}
    for sub_grid in grid:
        for axis in sub_grid.axes:
            for position, name in enumerate(axis.names):
                there = values.setdefault((sub_grid.optimizer, name), {})
                there |= dict.fromkeys(value[position] for value in axis.values)
    return {key: list(there) for key, there in values.items()}


def parse_grid(raw: Any) -> tuple[tuple[SubGrid, ...], list[ConfigProblem]]:
    """The sub-grids of a file, and all their problems."""
    if not isinstance(raw, list) or not raw:
        return (), [ConfigProblem("grid", f"must be a list of at least one sub-grid; got {shown(raw)}")]
    parsed = [_parse_sub_grid(f"grid[{index}]", entry) for index, entry in enumerate(raw)]
    problems = [problem for _, found in parsed for problem in found]
    return tuple(sub_grid for sub_grid, _ in parsed if sub_grid is not None), problems


def _parse_sub_grid(key: str, raw: Any) -> tuple[SubGrid | None, list[ConfigProblem]]:
    if not isinstance(raw, Mapping):
        return None, [ConfigProblem(key, f"must be a mapping of axes; got {shown(raw)}")]
    optimizer = raw.get("optimizer")
    if isinstance(optimizer, list | Mapping):
        problem = f"must be one name; write a sub-grid for each optimizer; got {shown(optimizer)}"
        return None, [ConfigProblem(f"{key}.optimizer", problem)]
    if optimizer not in OPTIMIZER_SPECS:
        found = "is missing" if optimizer is None else f"unknown optimizer {shown(optimizer)}"
        return None, [ConfigProblem(f"{key}.optimizer", f"{found}; {closest(str(optimizer), OPTIMIZER_SPECS)}")]
    axes: list[Axis] = []
    problems: list[ConfigProblem] = []
    for name, values in raw.items():
        if name == "optimizer":
            continue
        if name == COUPLED:
            axis, found_problems = _parse_coupled(f"{key}.{COUPLED}", values, optimizer)
        else:
            axis, found_problems = _parse_axis(f"{key}.{short(name)}", name, values, optimizer)
        problems += found_problems
        if axis is not None:
            axes.append(axis)
    names = [name for axis in axes for name in axis.names]
    problems += [
        ConfigProblem(f"{key}.{short(name)}", "is given twice, alone and coupled; keep one")
        for name in sorted(set(names))
        if names.count(name) > 1
    ]
    return SubGrid(optimizer, tuple(axes)), problems


def _parse_coupled(key: str, raw: Any, optimizer: str) -> tuple[Axis | None, list[ConfigProblem]]:
    if not isinstance(raw, Mapping) or not raw:
        return None, [ConfigProblem(key, f"must be a mapping of lists of equal length; got {shown(raw)}")]
    problems: list[ConfigProblem] = []
    columns: list[tuple[Any, ...]] = []
    for name, values in raw.items():
        adapter, problem = _adapter(f"{key}.{short(name)}", name, optimizer)
        if problem is not None or adapter is None:
            problems += [problem] if problem else []
            continue
        if not isinstance(values, list) or not values:
            problems.append(
                ConfigProblem(f"{key}.{short(name)}", f"must be a list of at least one value; got {shown(values)}")
            )
            continue
        column, found = _parse_values(f"{key}.{short(name)}", values, adapter)
        columns.append(column)
        problems += found
    lengths = {name: len(values) for name, values in raw.items() if isinstance(values, list)}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        problems.append(ConfigProblem(key, f"lists that move together must have equal length; {counts}"))
    if problems:
        return None, problems
    points = tuple(zip(*columns, strict=True))
    return Axis(tuple(map(str, raw)), points), _duplicates(key, points)


def _parse_axis(key: str, name: str, raw: Any, optimizer: str) -> tuple[Axis | None, list[ConfigProblem]]:
    adapter, problem = _adapter(key, name, optimizer)
    if adapter is None:
        return None, [problem] if problem else []
    if raw == []:
        return None, [ConfigProblem(key, "the list is empty; give at least one value, or leave the key out")]
    values, problems = _parse_values(key, raw if isinstance(raw, list) else [raw], adapter)
    if problems:
        return None, problems
    if name in TrainingSpec.NOT_IDENTITY and len(values) > 1:
        message = "changes how a trial is computed, not which trial it is; give one value here, or under training"
        return None, [ConfigProblem(key, message)]
    return Axis((name,), tuple((value,) for value in values)), _duplicates(key, values)


def _parse_values(key: str, raw: list[Any], adapter: TypeAdapter[Any]) -> tuple[tuple[Any, ...], list[ConfigProblem]]:
    values: list[Any] = []
    problems: list[ConfigProblem] = []
    for index, value in enumerate(raw):
        try:
            values.append(adapter.validate_python(value))
        except ValidationError as error:
            key_of_value = f"{key}[{index}]" if len(raw) > 1 else key
            problems.append(ConfigProblem(key_of_value, say(error.errors()[0])))
    return tuple(values), problems


def _duplicates(key: str, values: tuple[Any, ...]) -> list[ConfigProblem]:
    twice = sorted(str(value) for value, count in Counter(values).items() if count > 1)
    return [ConfigProblem(key, f"has the value {value} more than once; keep one") for value in twice]


def _adapter(key: str, name: str, optimizer: str) -> tuple[TypeAdapter[Any] | None, ConfigProblem | None]:
    """The validator of an axis, or the problem that there is no such axis."""
    adapters = axis_types(optimizer)
    if name in adapters:
        return adapters[name], None
    return None, ConfigProblem(key, f"{optimizer} has no axis {shown(name)}; {closest(name, [*adapters, COUPLED])}")


def _checked(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[annotation, CheckedNumbers()])


@cache
def axis_types(optimizer: str) -> dict[str, TypeAdapter[Any]]:
    """The validator of each possible axis of a sub-grid: the optimizer's fields, those of training, and the model."""
    specs: tuple[type[Spec], ...] = (OPTIMIZER_SPECS[optimizer], TrainingSpec)
    adapters: dict[str, TypeAdapter[Any]] = {
        name: _checked(field.rebuild_annotation())
        for spec in specs
        for name, field in spec.model_fields.items()
        if name != "name"
    }
    return {**adapters, "model": TypeAdapter(KnownModel)}
