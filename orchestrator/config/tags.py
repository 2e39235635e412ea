"""What a sweep file says for the record in MLflow: tags and notes, in the forms that MLflow takes."""

import posixpath
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

MAX_NAME = 250  # characters, MLflow's limit
MAX_TEXT = 8000  # characters of a tag, the description included, MLflow's limit
MAX_NOTES = 4000  # the rest of the description is the verdict
MAX_TAGS = 50
_OF_MLFLOW, _OF_THIS_PACKAGE = "mlflow.", ("renyi.", "axis.")
_WORDS = ("optimizer", "model", "dataset")  # tags of every trial
_NAME = re.compile(r"[/\w.\- :]+")


def _free(name: str) -> str:
    if name.startswith((_OF_MLFLOW, *_OF_THIS_PACKAGE)) or name in _WORDS:
        whose = "MLflow" if name.startswith(_OF_MLFLOW) else "this package"
        raise ValueError(f"is a tag that {whose} writes itself; choose another name")
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise ValueError(f"a tag's name has letters, digits, spaces and _ - . / : only, at most {MAX_NAME}")
    if posixpath.normpath(name) != name or name.startswith(("/", "..")) or name == ".":
        raise ValueError("a tag's name must not be a path that stands for another, such as a//b or ../a")
    return name


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"must be text; quote it: '{value}'")
    return value


TagName = Annotated[str, AfterValidator(_free)]
TagText = Annotated[str, BeforeValidator(_text), Field(max_length=MAX_TEXT)]
Tags = Annotated[dict[TagName, TagText], Field(max_length=MAX_TAGS)]
Notes = Annotated[str, BeforeValidator(_text), Field(max_length=MAX_NOTES)]
