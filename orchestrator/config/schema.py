"""The JSON schema of a sweep file, for editors: made of the models that `load` checks a file with.

It helps while a file is typed, and `load` decides. What the schema rejects, `load` rejects; the other way round it is
not so: `load` also knows what keys mean together.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic.json_schema import DEFAULT_REF_TEMPLATE, GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from analysis.measures import MEASURES
from orchestrator.config.grid import COUPLED, axis_types
from orchestrator.config.load import IGNORED
from orchestrator.config.sweep_config import SweepConfig
from trainables.catalogue import DATA_SETS, NETWORKS, SHIFTS
from trainables.trial.specs import OPTIMIZER_SPECS

DIALECT = "http://json-schema.org/draft-07/schema#"  # the one that editors know best
SCHEMA_FILE = "sweep.schema.json"  # beside the shipped sweeps, and wherever a user writes it

TEXT, NOTHING, DOTTED = {"type": "string"}, {"type": "null"}, {"type": "string", "pattern": "[.:]"}
WORDS_FOR_TRUTH = "^([TtFfYyNn01]|[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Yy][Ee][Ss]|[Nn][Oo]|[Oo][Nn]|[Oo][Ff][Ff])$"
# What functions of the models turn into what the field itself takes, by their names.
ALSO_TAKEN: dict[str, JsonSchemaValue] = {
    "_list": TEXT,
    "_zero": NOTHING,
    "seconds_of": {"type": "string", "pattern": r"^\s*(\d+\.?\d*|\.\d+)\s*[a-z]*\s*$"},
    "_name_of_loss": TEXT,
    "_name_of_orders": {"const": "paper"},
    "_all_measures": {"const": "all"},
}


class _AsWritten(GenerateJsonSchema):
    """The schema of what a person may write, which is more than what the models hold afterwards."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        """What the field takes, and what a function makes of other things before."""
        inner = self.generate_inner(schema["schema"])
        function: Callable[..., Any] = schema["function"]["function"]
        also = ALSO_TAKEN.get(function.__name__)
        return inner if also is None else {"anyOf": [inner, also]}

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        """True and false, and the words and numbers that pydantic takes for them."""
        return {"anyOf": [{"type": "boolean"}, {"enum": [0, 1]}, {"type": "string", "pattern": WORDS_FOR_TRUTH}]}


def schema_of_sweep_files() -> dict[str, Any]:
    """The schema of a sweep file, with the names of the catalogue."""
    found = SweepConfig.model_json_schema(schema_generator=_AsWritten)
    parts, keys = found["$defs"], found["properties"]
    for name in ("Axis", "SubGrid"):
        parts.pop(name, None)
    for key in ("storage", "tracking"):  # null leaves it to the machine
        keys[key] = {"anyOf": [TEXT, NOTHING]}
    keys["model"] = {"type": "string", "minLength": 1, "examples": list(NETWORKS)}
    keys["grid"] = {"type": "array", "minItems": 1, "items": _sub_grid(parts)}
    keys["shifts"]["items"] = {"enum": list(SHIFTS)}
    parts["DataSpec"]["properties"]["dataset"] = {"enum": list(DATA_SETS)}
    measures = {"anyOf": [{"enum": list(MEASURES)}, DOTTED]}
    settings = parts["SharpnessSettings"]["properties"]
    settings["measures"]["anyOf"][0]["items"] = measures
    settings["all_layers_only"]["items"] = measures
    return {
        "$schema": DIALECT,
        **found,
        "title": "A sweep of renyi",
        "required": ["name", "data", "model", "training", "grid"],
        "patternProperties": {f"^{IGNORED}": {}},
    }


def _sub_grid(parts: dict[str, Any]) -> dict[str, Any]:
    """The schema of an entry of the grid; which axes there are depends on the optimizer."""
    return {
        "type": "object",
        "required": ["optimizer"],
        "properties": {"optimizer": {"enum": list(OPTIMIZER_SPECS)}},
        "allOf": [
            {
                "if": {"required": ["optimizer"], "properties": {"optimizer": {"const": optimizer}}},
                "then": _axes_of(optimizer, parts),
            }
            for optimizer in OPTIMIZER_SPECS
        ],
    }


def _axes_of(optimizer: str, parts: dict[str, Any]) -> dict[str, Any]:
    axes = {name: _axis(optimizer, name, adapter.core_schema, parts) for name, adapter in axis_types(optimizer).items()}
    lists = {name: {"type": "array", "minItems": 1, "items": value} for name, value in axes.items()}
    return {
        "properties": {
            "optimizer": {"const": optimizer},
            **{name: {"anyOf": [value, lists[name]]} for name, value in axes.items()},
            COUPLED: {"type": "object", "minProperties": 1, "properties": lists, "additionalProperties": False},
        },
        "additionalProperties": False,
    }


def _axis(optimizer: str, name: str, core: Mapping[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """A reference to the schema of one value of an axis; most are the same with every optimizer."""
    value = _value(core, parts)
    key = f"axis-{name}"
    if parts.setdefault(key, value) != value:
        key = f"axis-{optimizer}-{name}"
        parts[key] = value
    return {"$ref": f"#/$defs/{key}"}


def _value(core: Mapping[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """The schema of one value of an axis."""
    found = _AsWritten(ref_template=DEFAULT_REF_TEMPLATE).generate(core)
    parts |= found.pop("$defs", {})
    return found
