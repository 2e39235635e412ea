"""The wording of measures, layers and numbers: the same in the terminal, the page, tables and figures."""

import math
from typing import TYPE_CHECKING

from analysis.measures import symbol_of, title_of
from analysis.schema import ALL_LAYERS, LAYER, MEASURE, NO_LAYER, PARAMETER

if TYPE_CHECKING:
    import pandas as pd

ANY_LAYER = "any"  # the layer with the highest τ
OPTIMIZER_NAMES = {  # those of the paper in the order of its table 1, then others
    "sgd": "SGD",
    "sam": "SAM",
    "asam": "ASAM",
    "eigen_sam": "Eigen-SAM",
    "rsam": "RSAM",
    "adam": "Adam",
    "adamw": "AdamW",
    "look_sam": "LookSAM",
    "gsam": "GSAM",
    "friendly_sam": "Friendly SAM",
}


def measure_name(measure: str, parameter: float | None = None) -> str:
    """`Rényi sharpness α = 1.5`, `Hessian trace`."""
    name, symbol = title_of(measure), symbol_of(measure)
    if parameter is None or math.isnan(parameter):
        return name
    return f"{name} {symbol} = {parameter:g}" if symbol else f"{name} at {parameter:g}"


def layer_name(layer: str) -> str:
    """`conv1`, `all layers`, `any layer`."""
    return {ALL_LAYERS: "all layers", ANY_LAYER: "any layer"}.get(layer, layer.removesuffix(".weight"))


def of_layer(layer: str) -> str:
    """` of conv1`; nothing where a table says nothing about layers."""
    return f" of {layer_name(layer)}" if layer != NO_LAYER else ""


def column_name(measure: str, parameter: float | None, layer: str) -> str:
    """`Rényi sharpness α = 1.5 of conv1`."""
    return f"{measure_name(measure, parameter)}{of_layer(layer)}"


def columns_listed(rows: "pd.DataFrame") -> str:
    """Every column by name: `Rényi sharpness α = 1.5 of conv1, fc; Hessian trace of all layers`."""
    layers: dict[str, list[str]] = {}
    for measure, parameter, layer in zip(rows[MEASURE], rows[PARAMETER], rows[LAYER], strict=True):
        layers.setdefault(measure_name(measure, parameter), []).append(layer_name(layer))
    return "; ".join(name + (f" of {', '.join(where)}" if any(where) else "") for name, where in layers.items())


def signed(value: float, digits: int = 2) -> str:
    """`+0.53`, `−0.20`; an en dash if there is no value."""
    if not math.isfinite(value):
        return "–"
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "−")


def with_interval(value: float, low: float, high: float) -> str:
    """`+0.53 [+0.31, +0.70]`."""
    if not math.isfinite(value):
        return "undefined"
    return signed(value) if math.isnan(low) else f"{signed(value)} [{signed(low)}, {signed(high)}]"


def p_text(p_value: float) -> str:
    """`p = 0.03`, `p < 0.001`."""
    if math.isnan(p_value):
        return "p undefined"
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}" if p_value < 0.1 else f"p = {p_value:.2f}"
