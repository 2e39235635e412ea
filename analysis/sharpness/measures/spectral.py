"""The measures that follow from the spectra of the Hessian's blocks, by functions that need no torch."""

from analysis.schema import Measurement
from analysis.sharpness.subject import Subject
from analysis.spectrum.measures import SPECTRAL_MEASURES


def renyi(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `renyi` and `renyi_gauss_newton`, at every order of the settings."""
    spectra = subject.spectra if measure == "renyi" else subject.gauss_newton_spectra
    return SPECTRAL_MEASURES[measure](spectra, subject.settings.orders)


def trace(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `trace`."""
    return SPECTRAL_MEASURES[measure](subject.spectra, ())


def lambda_max(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `lambda_max`."""
    return SPECTRAL_MEASURES[measure](subject.spectra, ())
