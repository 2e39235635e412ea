"""What every part of a YAML file is: frozen, without unknown keys, and strict about numbers."""

import re
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import CoreSchema, no_info_before_validator_function


def _with_checked_numbers(schema: CoreSchema) -> CoreSchema:
    return cast(CoreSchema, _checked(schema))


def _checked(schema: Any) -> Any:
    """A schema of pydantic with the check before each number in it."""
    if isinstance(schema, list | tuple):
        return type(schema)(map(_checked, schema))
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("int", "float"):
        return no_info_before_validator_function(_number, schema)
    if schema.get("type") == "function-before" and schema["function"]["function"] is _number:
        return schema
    return {name: part if name in ("metadata", "serialization") else _checked(part) for name, part in schema.items()}


def _number(value: Any) -> Any:
    """The value, unless pydantic would make a number of it that was not written as one."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "should be a number, not true or false")
    if isinstance(value, str):
        remedy = _remedy(value.strip())
        if remedy:
            raise PydanticCustomError("number", "should be a number{remedy}", {"remedy": remedy})
    return value


def _remedy(text: str) -> str | None:
    """How to write the number that a text may be meant for; None where it is none."""
    if text.lower() in ("yes", "no", "on", "off", "y", "n"):
        return ", not yes or no"
    if re.fullmatch(r"[-+]?\d+(:\d+)+(\.\d*)?", text):
        return " in decimal digits, without colons"
    if re.fullmatch(r"[-+]?0[\d_]+", text):
        return " without leading zeros (0o10 is 8 in octal)"
    try:
        float(text)
    except ValueError:
        return None
    return " without underscores" if "_" in text else " without quotes"


class Section(BaseModel):
    """A frozen part of a YAML file that refuses keys it does not know, and texts and truth values for numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic takes `true` for 1 and "010" for 10; here a number is written as a number."""
        return _with_checked_numbers(handler(source))


class CheckedNumbers:
    """The same for one value: a note in `Annotated`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _with_checked_numbers(handler(source))
