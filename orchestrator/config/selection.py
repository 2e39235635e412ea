"""A part of a sweep's trials, chosen by their parameters: `optimizer=sgd|sam,learning_rate>0.01`."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.errors import closest
from orchestrator.errors import UsageError
from trainables.trial.specs import TrialSpec

OPTION = "--only"
_SYNTAX = re.compile(r"\s*([A-Za-z_]\w*)\s*(!=|<=|>=|==|=|<|>)\s*(.*?)\s*")
_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS: Mapping[str, Any] = {"null": None, "none": None, "~": None, "true": True, "false": False}


@dataclass(frozen=True)
class Condition:
    """What one parameter of a trial must be.

    `=` takes one of several values, and `!=` is exactly what `=` leaves out. A parameter that is not set, or that the
    trial's optimizer does not have, is null: it equals null alone, and is neither less nor greater than any number.
    """

    parameter: str
    relation: str  # =, !=, <, <=, >, >=
    values: tuple[str, ...]  # as they were written

    def holds(self, value: Any) -> bool:
        """Whether a parameter's value fulfils it."""
        if self.relation in _ORDERS:
            return _is_number(value) and _ORDERS[self.relation](value, float(self.values[0]))
        return any(_is(value, text) for text in self.values) == (self.relation == "=")


def select(specs: Sequence[TrialSpec], wanted: str) -> list[TrialSpec]:
    """The trials that fulfil all conditions, in their order.

    Args:
        specs: the sweep's trials.
        wanted: conditions separated by commas.

    Raises:
        UsageError: a condition can't be read, names a parameter or a value that no trial has, or no trial fulfils all;
            a line for each.
    """
    values = [_values(spec) for spec in specs]
    conditions: list[Condition] = []
    problems: list[str] = []
    for text in wanted.split(","):
        found = _parse(text, values)
        if isinstance(found, Condition):
            conditions.append(found)
        else:
            problems.append(f"{OPTION}: {found}")
    chosen = [
        spec
        for spec, value in zip(specs, values, strict=True)
        if all(condition.holds(value.get(condition.parameter)) for condition in conditions)
    ]
    if not chosen and not problems:
        problems.append(f"{OPTION}: no trial fulfils {wanted!r}; `renyi plan` shows the grid")
    if problems:
        raise UsageError(*problems)
    return chosen


def _parse(text: str, values: Sequence[Mapping[str, Any]]) -> Condition | str:
    """The condition that a text states, or what is wrong with it."""
    match = _SYNTAX.fullmatch(text)
    if match is None:
        return f"{text!r} is not of the form PARAMETER=VALUE; also !=, <, <=, >, >=, and several values as a|b"
    parameter, relation, written = match[1], match[2].replace("==", "="), match[3]
    known = dict.fromkeys(name for each in values for name in each)
    if parameter not in known:
        return f"no trial has a parameter {parameter!r}; {closest(parameter, known)}"
    there = [each.get(parameter) for each in values]
    if relation in _ORDERS:
        if not any(map(_is_number, there)):
            return f"{parameter} is no number, so {relation} does not apply; use = or !="
        if not _is_written_number(written):
            return f"{parameter}{relation}: {written!r} is not a number"
        return Condition(parameter, relation, (written,))
    texts = tuple(part.strip() for part in written.split("|"))
    unknown = [part for part in texts if not any(_is(value, part) for value in there)]
    if unknown:
        return f"no trial has {parameter} {unknown[0]!r}; {closest(unknown[0], _shown(there))}"
    return Condition(parameter, relation, texts)


def _values(spec: TrialSpec) -> dict[str, Any]:
    """The parameters of a trial by name, those that are not set as None."""
    fields = {**spec.optimizer.model_dump(exclude={"name"}), **spec.training.model_dump()}
    values = {**dict.fromkeys(fields), **fields, **spec.parameters()}
    return {name: value for name, value in values.items() if not isinstance(value, tuple | list)}


def _is(value: Any, text: str) -> bool:
    """Whether a text means a value: numbers by value, everything else by its word."""
    if value is None or isinstance(value, bool):
        return text.lower() in _WORDS and _WORDS[text.lower()] is value
    if _is_number(value):
        return _is_written_number(text) and float(text) == value
    return str(value) == text


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_written_number(text: str) -> bool:
    try:
        return float(text) == float(text)  # not nan
    except ValueError:
        return False


def _shown(values: Iterable[Any]) -> list[str]:
    """The different values as one would write them, numbers first and in order."""
    distinct = list(dict.fromkeys(values))
    numbers = sorted(value for value in distinct if _is_number(value))
    words = [value for value in distinct if not _is_number(value)]
    return [f"{value:g}" if isinstance(value, float) else str(value) for value in numbers] + [
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value) for value in words
    ]
