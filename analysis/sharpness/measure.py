"""All measures of one network, sharing what can be shared, and the dict that says which measures there are."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from analysis.errors import UndefinedMeasureError
from analysis.schema import ALL_LAYERS, Measurement
from analysis.settings import SharpnessSettings
from analysis.sharpness.hessian.choice import Curvature
from analysis.sharpness.layers import weight_layers
from analysis.sharpness.norms import l2_norms
from analysis.sharpness.renyi import Spectrum, renyi_sharpness, spectra_or_reasons
from analysis.sharpness.slq import Effort
from analysis.spectrum import SpectralQuadrature


@dataclass(frozen=True)
class Subject:
    """A network under measurement, with what several measures have in common computed once, when first asked for."""

    model: nn.Module
    inputs: Tensor  # (N, …)
    targets: Tensor  # (N,)
    settings: SharpnessSettings

    @property
    def layers(self) -> list[str]:
        """The layers to measure one by one."""
        return weight_layers(self.model) if self.settings.layers == "all" else list(self.settings.layers)

    @cached_property
    def spectra(self) -> dict[str, Spectrum]:
        """The spectrum of each layer's Hessian and of all layers', or the reason why there is none."""
        return self._spectra([*self.layers, None], "hessian")

    @cached_property
    def gauss_newton_spectra(self) -> dict[str, Spectrum]:
        """Spectra of the Gauss–Newton part, where it is a matrix of its own: of all layers, and of indefinite ones.

        A layer whose Hessian is positive semidefinite, as in every ReLU network, has the same Gauss–Newton block.
        """
        differing = [layer for layer in self.layers if _is_indefinite(self.spectra[layer])]
        return self._spectra([*differing, None], "gauss_newton")

    def _spectra(self, layers: list[str | None], curvature: Curvature) -> dict[str, Spectrum]:
        settings = self.settings
        effort = Effort(
            settings.tolerance_orders,
            settings.tolerance,
            settings.num_probes,
            settings.num_matvecs,
            settings.max_products,
            int(settings.memory_gib * 2**30),
        )
        spectra = spectra_or_reasons(
            self.model, self.inputs, self.targets, layers, settings.estimator, effort, settings.seed, curvature
        )
        return {layer or ALL_LAYERS: spectrum for layer, spectrum in spectra.items()}


def _is_indefinite(spectrum: Spectrum) -> bool:
    return isinstance(spectrum, SpectralQuadrature) and spectrum.indefinite


def _renyi(subject: Subject) -> list[Measurement]:
    return renyi_sharpness(subject.spectra, subject.settings.orders)


def _renyi_gauss_newton(subject: Subject) -> list[Measurement]:
    return renyi_sharpness(subject.gauss_newton_spectra, subject.settings.orders, "renyi_gauss_newton")


def _trace(subject: Subject) -> list[Measurement]:
    return _of_spectra(subject, "trace", lambda spectrum: (spectrum.trace().value, spectrum.trace().stderr))


def _lambda_max(subject: Subject) -> list[Measurement]:
    return _of_spectra(subject, "lambda_max", lambda spectrum: (spectrum.lambda_max(), 0.0 if spectrum.exact else None))


def _l2(subject: Subject) -> list[Measurement]:
    norms = l2_norms(subject.model)
    wanted: Iterable[str | None] = (*subject.layers, None)
    return [
        Measurement(layer or ALL_LAYERS, "l2", None, norms[layer], 0.0)
        if math.isfinite(norms[layer])
        else Measurement(layer or ALL_LAYERS, "l2", None, None, None, "the weights have NaN or infinite entries")
        for layer in wanted
    ]


def _of_spectra(
    subject: Subject, name: str, read: Callable[[SpectralQuadrature], tuple[float, float | None]]
) -> list[Measurement]:
    """One row a layer of something read off its spectrum."""
    return [
        Measurement(layer, name, None, None, None, str(spectrum))
        if isinstance(spectrum, UndefinedMeasureError)
        else Measurement(layer, name, None, *read(spectrum))
        for layer, spectrum in subject.spectra.items()
    ]


# Every measure there is, by its key.
MEASURES: dict[str, Callable[[Subject], list[Measurement]]] = {
    "renyi": _renyi,
    "renyi_gauss_newton": _renyi_gauss_newton,
    "trace": _trace,
    "lambda_max": _lambda_max,
    "l2": _l2,
}


def measure(
    model: nn.Module, inputs: Tensor, targets: Tensor, settings: SharpnessSettings | None = None
) -> list[Measurement]:
    """Every measure that the settings name, of one network on one set of samples.

    Rényi sharpness, trace and largest eigenvalue are read off the same Lanczos runs. A measure that has no value for
    this network (zero Hessian, NaN weights) is a row with its reason; the other rows are not affected.

    Args:
        model: any differentiable classifier; it is measured in eval mode and left as it was found.
        inputs, targets: (N, …) float tensor and (N,) int64 classes, on the model's device.
        settings: what to measure; left out, the defaults of SPEC.
    """
    return measure_subject(Subject(model, inputs, targets, settings or SharpnessSettings()))


def measure_subject(subject: Subject) -> list[Measurement]:
    """As `measure`, for a subject whose spectra the caller wants to keep."""
    return [row for name in subject.settings.measures for row in MEASURES[name](subject)]
