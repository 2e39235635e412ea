"""Spectra as numbers: nodes and weights of quadratures, and what follows from them. Imports numpy alone."""

from analysis.spectrum.entropy import renyi_entropy
from analysis.spectrum.quadrature import Estimate, SpectralQuadrature

__all__ = ["Estimate", "SpectralQuadrature", "renyi_entropy"]
