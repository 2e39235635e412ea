"""All measures of one network, which share computations where possible."""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from importlib import import_module

from pydantic import ValidationError
from torch import Tensor, nn

from analysis.errors import AnalysisError
from analysis.measures import MEASURES
from analysis.progress import progress_bar
from analysis.schema import ALL_LAYERS, Measurement
from analysis.settings import SharpnessSettings
from analysis.sharpness.hessian.derivatives import MEMORY
from analysis.sharpness.loss import LossLike, Targets
from analysis.sharpness.measurements import Measurements
from analysis.sharpness.measures.own import load_measure
from analysis.sharpness.samples import Inputs, gather
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
    inputs: Inputs,
    targets: Targets = None,
    settings: SharpnessSettings | None = None,
    initial: Mapping[str, Tensor] | None = None,
    *,
    measures: Iterable[str] | None = None,
    loss: LossLike | None = None,
    memory_budget: int | None = None,
    progress: bool | None = None,
) -> Measurements:
    """Compute every measure that the settings name, for one network on one set of samples.

    Rényi sharpness, trace and largest eigenvalue come from the same Lanczos runs, one-step measures from the same
    gradient, PAC-Bayes measures from the same noise. A measure that is undefined for this network (zero Hessian, NaN
    weights) has a row with the reason; the other rows are not affected.

    Args:
        model: any differentiable network; it is measured in eval mode and left as it was found.
        inputs, targets: as for `block_operator`: tensors, arrays, several or named inputs; or a `DataLoader` alone.
        settings: what to measure, and how; default: as in a sweep file that says nothing about it.
        initial: state dict of the network before training, for measures that use the distance from it.
        measures: keys of measures, or dotted paths of your own, in place of those of the settings.
        loss: as for `block_operator`, in place of that of the settings. A measure that the loss does not have
            (PAC-Bayes measures need an accuracy) has a row with the reason.
        memory_budget: as for `block_operator`.
        progress: whether to draw a bar; left out, in a terminal and in a notebook.

    Returns:
        A list of `Measurement` that prints and renders as a table, with `to_frame` and `plot`.

    Raises:
        AnalysisError: the network or samples can't be measured at all; or a user's own measure can't be imported,
            raises an error, or returns something other than measurements.

    >>> import torch, renyi
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> inputs, targets = torch.randn(8, 3), torch.arange(8) % 2
    >>> rows = renyi.measure(model, inputs, targets, measures=["trace", "sam"], progress=False)
    >>> rows.to_frame().layer.unique().tolist()
    ['0.weight', '2.weight', 'all']
    >>> loss = renyi.CrossEntropy(label_smoothing=0.1)
    >>> rows = renyi.measure(model, [(inputs, targets)], measures=["lambda_max"], loss=loss, progress=False)  # a loader
    >>> all(row.value > 0 for row in rows)
    True
    """
    settings = settings or SharpnessSettings()
    if measures is not None:
        settings = with_measures(settings, measures)
    samples = gather(model, inputs, targets, memory_budget)
    with progress_bar(progress) as bar:
        return measure_subject(
            Subject(model, samples, None, settings, initial, loss=loss, bar=bar, memory_budget=memory_budget)
        )


def with_measures(settings: SharpnessSettings, measures: Iterable[str]) -> SharpnessSettings:
    """The settings with other measures.

    Raises:
        AnalysisError: an unknown measure.
    """
    names = (measures,) if isinstance(measures, str) else tuple(measures)
    try:
        return SharpnessSettings.model_validate(settings.model_dump() | {"measures": names})
    except ValidationError as error:
        raise AnalysisError("; ".join(f"measures: {detail['msg']}" for detail in error.errors())) from error


def measure_subject(subject: Subject, measures: Collection[str] | None = None) -> Measurements:
    """As `measure`, for a subject whose spectra the caller wants to keep.

    Args:
        subject: the network.
        measures: which of its settings' measures to compute; default: all. The values do not depend on this choice.
    """
    wanted = [name for name in subject.settings.measures if measures is None or name in measures]
    functions = {name: measure_function(name) for name in wanted}
    subject.bar.plan(len(functions))
    rows = Measurements()
    for name, function in functions.items():
        rows += _rows_or_reason(name, function, subject)
        subject.bar.step(name)
    return rows


def _rows_or_reason(name: str, rows: Callable[[Subject], list[Measurement]], subject: Subject) -> list[Measurement]:
    """The rows of a measure; where the network's own operations fail in it, one row with the reason."""
    try:
        return rows(subject)
    except RuntimeError as error:
        if MEMORY.search(str(error)):
            raise  # no property of the network
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        return [Measurement(ALL_LAYERS, name, None, None, None, reason)]
