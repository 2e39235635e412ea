"""All measures of one network, which share computations where possible."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from importlib import import_module

from torch import Tensor, nn

from analysis.measures import MEASURES
from analysis.schema import ALL_LAYERS, Measurement
from analysis.settings import SharpnessSettings
from analysis.sharpness.hessian.derivatives import MEMORY
from analysis.sharpness.measures.own import load_measure
from analysis.sharpness.subject import Subject


def measure_function(name: str) -> Callable[[Subject], list[Measurement]]:
    """The function that computes, for a subject, a measure of the catalogue or a user's own.

    Raises:
        AnalysisError: a dotted path can't be imported.
    """
    if name not in MEASURES:
        return load_measure(name)
    file, _, function = MEASURES[name].function.partition(".")
    rows = getattr(import_module(f"analysis.sharpness.measures.{file}"), function)
    return partial(rows, measure=name)


def measure(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    settings: SharpnessSettings | None = None,
    initial: Mapping[str, Tensor] | None = None,
) -> list[Measurement]:
    """Compute every measure that the settings name, for one network on one set of samples.

    Rényi sharpness, trace and largest eigenvalue come from the same Lanczos runs, one-step measures from the same
    gradient, PAC-Bayes measures from the same noise. A measure that is undefined for this network (zero Hessian, NaN
    weights) has a row with the reason; the other rows are not affected.

    Args:
        model: any differentiable classifier; it is measured in eval mode and left as it was found.
        inputs, targets: (N, …) float tensor and (N,) int64 classes, on the model's device.
        settings: what to measure; default: the settings of SPEC.
        initial: state dict of the network before training, for measures that use the distance from it.

    Raises:
        AnalysisError: the network or samples can't be measured at all; or a user's own measure can't be imported,
            raises an error, or returns something other than measurements.
    """
    return measure_subject(Subject(model, inputs, targets, settings or SharpnessSettings(), initial))


def measure_subject(subject: Subject, measures: Collection[str] | None = None) -> list[Measurement]:
    """As `measure`, for a subject whose spectra the caller wants to keep.

    Args:
        subject: the network.
        measures: which of its settings' measures to compute; default: all. The values do not depend on this choice.
    """
    wanted = [name for name in subject.settings.measures if measures is None or name in measures]
    functions = {name: measure_function(name) for name in wanted}
    return [row for name, rows in functions.items() for row in _rows_or_reason(name, rows, subject)]


def _rows_or_reason(name: str, rows: Callable[[Subject], list[Measurement]], subject: Subject) -> list[Measurement]:
    """The rows of a measure; where the network's own operations fail in it, one row with the reason."""
    try:
        return rows(subject)
    except RuntimeError as error:
        if MEMORY.search(str(error)):
            raise  # no property of the network
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        return [Measurement(ALL_LAYERS, name, None, None, None, reason)]
