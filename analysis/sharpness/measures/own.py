"""Measures that users write themselves, by dotted path."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.dotted import import_dotted
from analysis.errors import AnalysisError, UndefinedMeasureError
from analysis.life import alive
from analysis.schema import ALL_LAYERS, Measurement
from analysis.sharpness.layers import evaluation_mode, widened_copy
from analysis.sharpness.loss import Targets
from analysis.sharpness.samples import Inputs, Placement, Samples
from analysis.sharpness.subject import Subject


def load_measure(path: str) -> Callable[[Subject], list[Measurement]]:
    """The measure at a dotted path, wrapped so that it can be called like a built-in one.

    It is called with (model, inputs, targets); the model is a copy in eval mode, as
    `widened_copy` makes it, and the samples are of its type. It returns one number for the whole
    network, where larger means sharper, or a list of `Measurement`. If the network has no such number, it raises
    `UndefinedMeasureError` or returns NaN: the value is then missing, with a reason.

    Raises:
        AnalysisError: the path does not lead to a callable. Later, when it is called: the measure raised an error, or
            returned something else.
    """
    try:
        function = import_dotted(path)
    except ImportError as error:
        raise AnalysisError(f"measure {path!r} can't be imported: {error}") from error
    if not callable(function):
        raise AnalysisError(f"measure {path!r} must be callable with (model, inputs, targets); it is {function!r}")

    def rows(subject: Subject) -> list[Measurement]:
        model = widened_copy(subject.model)
        model.register_forward_pre_hook(lambda *_: alive())
        try:
            with evaluation_mode(model):
                result = function(model, *_samples(subject))
        except UndefinedMeasureError as error:
            return [Measurement(ALL_LAYERS, path, None, None, None, str(error))]
        except Exception as error:
            raise AnalysisError(f"measure {path!r} raised {type(error).__name__}: {error}") from error
        return _checked(path, result)

    return rows


def _samples(subject: Subject) -> tuple[Inputs, Targets]:
    placement = Placement.of(subject.model)
    if not isinstance(subject.inputs, Samples):
        return placement.moved(subject.inputs), placement.moved(subject.targets)
    if subject.inputs.stream is not None:
        raise UndefinedMeasureError("the samples do not fit into the memory budget, and the measure takes all at once")
    return placement.moved(subject.inputs.inputs), placement.moved(subject.inputs.targets)


def _checked(path: str, result: Any) -> list[Measurement]:
    """The rows of a measure, from what it returned."""
    if isinstance(result, int | float | np.floating) and not isinstance(result, bool):
        value = float(result)
        if not math.isfinite(value):
            return [Measurement(ALL_LAYERS, path, None, None, None, f"the value is {value}")]
        return [Measurement(ALL_LAYERS, path, None, value, None)]
    if isinstance(result, list) and all(isinstance(row, Measurement) for row in result):
        return result
    remedy = "; end it with .item()" if hasattr(result, "item") else ""
    raise AnalysisError(
        f"measure {path!r} must return a number or a list of Measurement; it returned {type(result).__name__}{remedy}"
    )
