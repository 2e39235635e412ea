"""All measures of one network, sharing what can be shared."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from importlib import import_module

from torch import Tensor, nn

from analysis.measures import MEASURES
from analysis.schema import Measurement
from analysis.settings import SharpnessSettings
from analysis.sharpness.measures.own import load_measure
from analysis.sharpness.subject import Subject


def measure_function(name: str) -> Callable[[Subject], list[Measurement]]:
    """What computes a measure of the catalogue, or one of the user's own, for a subject.

    Raises:
        AnalysisError: a dotted path that does not import.
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
    """Every measure that the settings name, of one network on one set of samples.

    Rényi sharpness, trace and largest eigenvalue are read off the same Lanczos runs, one-step measures off the same
    gradient, PAC-Bayes measures off the same noise. A measure that has no value for this network (zero Hessian, NaN
    weights) is a row with its reason; the other rows are not affected.

    Args:
        model: any differentiable classifier; it is measured in eval mode and left as it was found.
        inputs, targets: (N, …) float tensor and (N,) int64 classes, on the model's device.
        settings: what to measure; left out, the defaults of SPEC.
        initial: state dict of the network before training, for the measures of the distance from it.

    Raises:
        AnalysisError: a network or samples that can't be measured at all; a measure of the user's own that does not
            import, raises, or returns something other than measurements.
    """
    return measure_subject(Subject(model, inputs, targets, settings or SharpnessSettings(), initial))


def measure_subject(subject: Subject, measures: Collection[str] | None = None) -> list[Measurement]:
    """As `measure`, for a subject whose spectra the caller wants to keep.

    Args:
        subject: the network.
        measures: those of its settings' measures to take; left out, all. Each comes out the same with any others.
    """
    wanted = [name for name in subject.settings.measures if measures is None or name in measures]
    functions = [measure_function(name) for name in wanted]
    return [row for rows in functions for row in rows(subject)]
