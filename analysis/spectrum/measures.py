"""The measures that follow from spectra alone, whether just computed or stored. Imports no torch."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from analysis.errors import UndefinedMeasureError
from analysis.measures import EFFECTIVE_SCALES
from analysis.schema import Measurement
from analysis.spectrum.dimensions import effective_dimension, stable_rank
from analysis.spectrum.quadrature import Estimate, SpectralQuadrature

DIMENSION_NOT_RESOLVED = "not resolved: truncation may move the value by more than a tenth"
NOT_RESOLVED = "not resolved: round-off or truncation may move the value by more than 0.1 nats"

Spectrum = SpectralQuadrature | UndefinedMeasureError  # or the reason why it is undefined
Spectra = Mapping[str, Spectrum]  # by layer


def renyi_sharpness(
    spectra: Mapping[str, Spectrum], orders: Iterable[float], measure: str = "renyi"
) -> list[Measurement]:
    """Rényi sharpness −H_α of every layer at every order (Rényi Sharpness, eq. 4), with its standard error.

    A value that round-off or truncation may change by more than 0.1 nats is kept; its reason says so.
    """
    rows = []
    for layer, spectrum in spectra.items():
        for order in orders:
            try:
                if isinstance(spectrum, UndefinedMeasureError):
                    raise spectrum
                entropy = spectrum.renyi_entropy(order)
                reason = None if entropy.resolved else NOT_RESOLVED
                rows.append(Measurement(layer, measure, order, -entropy.value, entropy.stderr, reason))
            except UndefinedMeasureError as error:
                rows.append(Measurement(layer, measure, order, None, None, str(error)))
    return rows


def hessian_trace(spectra: Spectra) -> list[Measurement]:
    """The trace of every layer's Hessian, with its standard error."""
    return _each("trace", spectra, lambda spectrum: (spectrum.trace().value, spectrum.trace().stderr))


def lambda_max(spectra: Spectra) -> list[Measurement]:
    """The largest eigenvalue of every layer's Hessian; without a standard error if it is an estimate."""
    return _each("lambda_max", spectra, lambda spectrum: (spectrum.lambda_max(), 0.0 if spectrum.exact else None))


def effective_dimensions(spectra: Spectra) -> list[Measurement]:
    """The effective dimension of every layer's Hessian at every z of the catalogue, with its standard error.

    A value that truncation may change by more than a tenth is kept; its reason says so.
    """
    rows = []
    for layer, spectrum in spectra.items():
        for scale in EFFECTIVE_SCALES:
            if isinstance(spectrum, UndefinedMeasureError):
                rows.append(Measurement(layer, "effective_dimension", scale, None, None, str(spectrum)))
                continue
            found = effective_dimension(spectrum, scale)
            reason = None if found.resolved else DIMENSION_NOT_RESOLVED
            rows.append(Measurement(layer, "effective_dimension", scale, found.value, found.stderr, reason))
    return rows


def stable_ranks(spectra: Spectra) -> list[Measurement]:
    """The stable rank of every layer's Hessian, with its standard error."""

    def read(spectrum: SpectralQuadrature) -> tuple[float, float]:
        found: Estimate = stable_rank(spectrum)
        return found.value, found.stderr

    return _each("stable_rank", spectra, read)


def _each(
    name: str, spectra: Spectra, read: Callable[[SpectralQuadrature], tuple[float, float | None]]
) -> list[Measurement]:
    rows = []
    for layer, spectrum in spectra.items():
        try:
            if isinstance(spectrum, UndefinedMeasureError):
                raise spectrum
            rows.append(Measurement(layer, name, None, *read(spectrum)))
        except UndefinedMeasureError as error:
            rows.append(Measurement(layer, name, None, None, None, str(error)))
    return rows


# The function of each measure, by its key: (spectra, orders) → rows.
SPECTRAL_MEASURES: dict[str, Callable[[Spectra, Sequence[float]], list[Measurement]]] = {
    "renyi": renyi_sharpness,
    "renyi_gauss_newton": partial(renyi_sharpness, measure="renyi_gauss_newton"),
    "trace": lambda spectra, _: hessian_trace(spectra),
    "lambda_max": lambda spectra, _: lambda_max(spectra),
    "effective_dimension": lambda spectra, _: effective_dimensions(spectra),
    "stable_rank": lambda spectra, _: stable_ranks(spectra),
}
