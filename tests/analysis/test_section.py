"""Numbers in sections of a YAML file: written as numbers, wherever they stand."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from analysis.section import CheckedNumbers, Section
from analysis.settings import SharpnessSettings


class Inner(Section):
    rate: Annotated[float, Field(gt=0)] = 1.0


class Outer(Section):
    count: int = 1
    maybe: int | None = None
    several: tuple[float, ...] = ()
    named: Literal["all"] | tuple[int, ...] = "all"
    by_name: dict[str, float] = Field(default_factory=dict)
    flag: bool = False
    text: str = ""
    inner: Inner = Inner()


def place(key: str, value: Any) -> dict[str, Any]:
    shapes = {"several": [1, value], "named": [value], "by_name": {"a": value}, "inner": {"rate": value}}
    return {key: shapes.get(key, value)}


@pytest.mark.parametrize("key", ["count", "maybe", "several", "named", "by_name", "inner"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "not true or false"),
        (False, "not true or false"),
        ("yes", "not yes or no"),
        ("Off", "not yes or no"),
        ("1:30", "without colons"),
        ("010", "without leading zeros"),
        ("1_000", "without underscores"),
        ("12", "without quotes"),
        (" 1e3 ", "without quotes"),
        ("inf", "without quotes"),
    ],
)
def test_what_is_not_written_as_a_number_is_none(key: str, value: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(place(key, value))
    assert any("should be a number" in detail["msg"] and said in detail["msg"] for detail in caught.value.errors())
    assert any(detail["input"] is value for detail in caught.value.errors())


@pytest.mark.parametrize("key", ["count", "maybe", "several", "named", "by_name", "inner"])
@pytest.mark.parametrize("value", [3, 3.0])
def test_numbers_stay_numbers(key: str, value: float) -> None:
    Outer.model_validate(place(key, value))


def test_texts_and_truth_values_keep_their_places() -> None:
    outer = Outer.model_validate({"flag": "yes", "text": "12", "named": "all"})
    assert (outer.flag, outer.text, outer.named) == (True, "12", "all")


def test_a_value_by_itself_is_checked_too() -> None:
    adapter: TypeAdapter[int] = TypeAdapter(Annotated[int, CheckedNumbers()])
    assert adapter.validate_python(8) == 8
    with pytest.raises(ValidationError, match="should be a number"):
        adapter.validate_python("8")


def sections(root: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield root
    for each in root.model_fields.values():
        if isinstance(each.annotation, type) and issubclass(each.annotation, BaseModel):
            yield from sections(each.annotation)


def test_every_part_of_the_settings_is_a_section() -> None:
    assert {each.__name__ for each in sections(SharpnessSettings)} > {"HaarSettings", "LossSettings"}
    assert all(issubclass(each, Section) for each in sections(SharpnessSettings))
