"""How measures, layers and numbers are written for people: the same words in terminal, page, tables and figures."""

import math

from analysis.schema import ALL_LAYERS, PARAMETER_SYMBOLS

ANY_LAYER = "any"  # stands for the best of all layers
OPTIMIZER_NAMES = {  # the paper's in the order of its table 1, then others
    "sgd": "SGD",
    "sam": "SAM",
    "asam": "ASAM",
    "eigen_sam": "Eigen-SAM",
    "rsam": "RSAM",
    "adam": "Adam",
}
MEASURE_NAMES = {
    "renyi": "Rényi sharpness",
    "renyi_gauss_newton": "Rényi sharpness (Gauss–Newton)",
    "trace": "Hessian trace",
    "lambda_max": "largest eigenvalue",
    "l2": "parameter norm",
    "fisher_rao": "Fisher–Rao norm",
    "sam": "SAM sharpness",
    "sam_n": "SAM sharpness (maximized)",
    "asam": "ASAM sharpness",
    "asam_n": "ASAM sharpness (maximized)",
    "sam_linf": "SAM sharpness ℓ∞",
    "asam_linf": "ASAM sharpness ℓ∞",
    "avg": "average sharpness",
    "avg_adaptive": "adaptive average sharpness",
    "pacbayes_flat": "PAC-Bayes flatness",
    "pacbayes_orig": "PAC-Bayes bound",
    "pacbayes_mag_flat": "PAC-Bayes flatness (magnitude)",
    "pacbayes_mag_init": "PAC-Bayes bound (magnitude, initial)",
    "pacbayes_mag_orig": "PAC-Bayes bound (magnitude)",
    "sam_linf_n": "SAM sharpness ℓ∞ (maximized)",
    "asam_linf_n": "ASAM sharpness ℓ∞ (maximized)",
    "trace_imbalance": "imbalance of trace",
    "haar_loss": "loss under random rotations",
}


def measure_name(measure: str, parameter: float | None = None) -> str:
    """`Rényi sharpness α = 1.5`, `Hessian trace`."""
    name = MEASURE_NAMES.get(measure, measure.replace("_", " "))
    if parameter is None or math.isnan(parameter):
        return name
    return (
        f"{name} {PARAMETER_SYMBOLS[measure]} = {parameter:g}"
        if measure in PARAMETER_SYMBOLS
        else f"{name} at {parameter:g}"
    )


def layer_name(layer: str) -> str:
    """`conv1`, `all layers`, `any layer`."""
    return {ALL_LAYERS: "all layers", ANY_LAYER: "any layer"}.get(layer, layer.removesuffix(".weight"))


def column_name(measure: str, parameter: float | None, layer: str) -> str:
    """`Rényi sharpness α = 1.5 of conv1`."""
    return f"{measure_name(measure, parameter)} of {layer_name(layer)}"


def signed(value: float, digits: int = 2) -> str:
    """`+0.53`, `−0.20`; an en dash where there is no value."""
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
