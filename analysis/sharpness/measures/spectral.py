"""The measures that follow from the spectra of the Hessian's blocks, by functions that need no torch."""

from analysis.measures import MEASURES
from analysis.schema import Measurement
from analysis.sharpness.subject import Subject
from analysis.spectrum.measures import SPECTRAL_MEASURES


def from_spectra(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of a measure, from the spectra that its record names; at every order of the settings if it has them."""
    spectra = subject.spectra if MEASURES[measure].spectra == "hessian" else subject.gauss_newton_spectra
    return SPECTRAL_MEASURES[measure](spectra, subject.settings.orders)
