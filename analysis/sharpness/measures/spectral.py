"""The measures that are read off the spectra of the Hessian's blocks; the reading itself needs no torch."""

from analysis.schema import Measurement
from analysis.sharpness.subject import Subject
from analysis.spectrum.measures import SPECTRAL_MEASURES


def renyi(subject: Subject, measure: str) -> list[Measurement]:
    """`renyi` and `renyi_gauss_newton`, at every order of the settings."""
    spectra = subject.spectra if measure == "renyi" else subject.gauss_newton_spectra
    return SPECTRAL_MEASURES[measure](spectra, subject.settings.orders)


def trace(subject: Subject, measure: str) -> list[Measurement]:
    """`trace`."""
    return SPECTRAL_MEASURES[measure](subject.spectra, ())


def lambda_max(subject: Subject, measure: str) -> list[Measurement]:
    """`lambda_max`."""
    return SPECTRAL_MEASURES[measure](subject.spectra, ())
