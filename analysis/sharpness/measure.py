"""All measures of one network, sharing what can be shared, and the dict that says which measures there are."""

from collections.abc import Callable, Collection, Mapping
from functools import partial

from torch import Tensor, nn

from analysis.schema import Measurement
from analysis.settings import SharpnessSettings
from analysis.sharpness import baselines
from analysis.sharpness.measures.own import load_measure
from analysis.sharpness.subject import Subject
from analysis.spectrum.measures import hessian_trace, lambda_max, renyi_sharpness


def _renyi(subject: Subject) -> list[Measurement]:
    return renyi_sharpness(subject.spectra, subject.settings.orders)


def _renyi_gauss_newton(subject: Subject) -> list[Measurement]:
    return renyi_sharpness(subject.gauss_newton_spectra, subject.settings.orders, "renyi_gauss_newton")


def _trace(subject: Subject) -> list[Measurement]:
    return hessian_trace(subject.spectra)


def _lambda_max(subject: Subject) -> list[Measurement]:
    return lambda_max(subject.spectra)


# Every measure there is, by its key.
MEASURES: dict[str, Callable[[Subject], list[Measurement]]] = {
    "renyi": _renyi,
    "renyi_gauss_newton": _renyi_gauss_newton,
    "trace": _trace,
    "lambda_max": _lambda_max,
    "trace_imbalance": baselines.trace_imbalance,
    "l2": baselines.l2,
    "fisher_rao": baselines.fisher_rao,
    "sam": partial(baselines.one_step, "sam"),
    "asam": partial(baselines.one_step, "asam"),
    "sam_linf": partial(baselines.one_step, "sam_linf"),
    "asam_linf": partial(baselines.one_step, "asam_linf"),
    "sam_n": partial(baselines.n_step, "sam_n"),
    "asam_n": partial(baselines.n_step, "asam_n"),
    "sam_linf_n": partial(baselines.n_step, "sam_linf_n"),
    "asam_linf_n": partial(baselines.n_step, "asam_linf_n"),
    "avg": partial(baselines.average, "avg"),
    "avg_adaptive": partial(baselines.average, "avg_adaptive"),
    "pacbayes_flat": partial(baselines.pac_bayes_flatness, "pacbayes_flat"),
    "pacbayes_orig": baselines.pac_bayes_origin,
    "pacbayes_mag_flat": partial(baselines.pac_bayes_flatness, "pacbayes_mag_flat"),
    "pacbayes_mag_init": partial(baselines.pac_bayes_magnitude_aware, "pacbayes_mag_init"),
    "pacbayes_mag_orig": partial(baselines.pac_bayes_magnitude_aware, "pacbayes_mag_orig"),
    "haar_loss": baselines.haar,
}


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
    functions = [MEASURES.get(name) or load_measure(name) for name in wanted]
    return [row for rows in functions for row in rows(subject)]
