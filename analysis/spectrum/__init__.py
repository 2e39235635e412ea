"""A spectrum as numbers: nodes and weights of a quadrature, and what follows from them. Numpy alone."""

from analysis.spectrum.entropy import renyi_entropy
from analysis.spectrum.quadrature import Estimate, SpectralQuadrature

__all__ = ["Estimate", "SpectralQuadrature", "renyi_entropy"]
