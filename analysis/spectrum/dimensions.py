"""How many directions a spectrum counts as curved: its effective dimension and its stable rank. Imports numpy alone."""

import math

import numpy as np

from analysis.errors import UndefinedMeasureError
from analysis.spectrum.entropy import FloatArray
from analysis.spectrum.quadrature import Estimate, SpectralQuadrature
from analysis.spectrum.rules import Role, Rule

RESOLUTION = 0.1  # relative; an effective dimension that truncation may change by more than this is not resolved


def effective_dimension(spectrum: SpectralQuadrature, scale: float) -> Estimate:
    """Σ_i λ_i/(λ_i + z): how many eigenvalues are above z, each counted by how far it is.

    Negative eigenvalues and those hidden by round-off count as 0: such directions are not determined by the samples.

    Args:
        spectrum: of the Hessian of the mean loss.
        scale: z > 0, in the unit of the eigenvalues. A Gaussian prior of precision a on the weights and N samples
            give z = a/N.

    Returns:
        The value with its standard error over the probes (0 for an exact spectrum). With a Gauss and a Radau rule it is
        their mean; `resolved` says whether they differ by less than a tenth either way.

    Cost: no product.

    Source: MacKay 1992; Maddox et al. 2020, eq. 3.
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive; got {scale}")

    def per_probe(rule: Rule) -> FloatArray:
        nodes, weights = rule
        values = np.where(nodes > spectrum.noise, nodes, 0.0)
        sums: FloatArray = spectrum.dim * (weights * values / (values + scale)).sum(axis=1)
        return sums

    found = [per_probe(rule) for rule in _rules(spectrum)]
    means = [float(sums.mean()) for sums in found]
    value = float(np.mean(means))
    resolved = max(means) - min(means) <= 2 * RESOLUTION * value
    stderr = _stderr(spectrum, np.mean(found, axis=0))
    return Estimate(value, stderr, math.nan, math.nan, resolved)


def stable_rank(spectrum: SpectralQuadrature) -> Estimate:
    """‖H‖_F²/‖H‖₂² = Σ_i λ_i² / max_i λ_i²: the number of eigenvalues, each counted by its share of the largest square.

    1 for a spectrum of one eigenvalue, n for a uniform one. Σ λ² is exact for each probe from two Lanczos steps on; the
    standard error is that of Σ λ² alone, the largest eigenvalue is taken as it is.

    Cost: no product.

    Raises:
        UndefinedMeasureError: the Hessian is zero.

    Source: Rudelson and Vershynin 2007, §1.
    """
    largest = float(np.abs(spectrum.nodes[spectrum.weights > 0]).max())
    if largest <= spectrum.noise or largest == 0:
        raise UndefinedMeasureError("the Hessian is zero, so it has no stable rank")
    shares = spectrum.dim * (spectrum.weights * (spectrum.nodes / largest) ** 2).sum(axis=1)
    value = float(shares.mean())
    return Estimate(value, _stderr(spectrum, shares), math.nan, math.nan)


def _rules(spectrum: SpectralQuadrature) -> list[Rule]:
    rules: list[Rule] = [(spectrum.nodes, spectrum.weights)]
    if spectrum.companion is not None and spectrum.companion.role is Role.RADAU:
        rules.append((spectrum.companion.nodes, spectrum.companion.weights))
    return rules


def _stderr(spectrum: SpectralQuadrature, per_probe: FloatArray) -> float:
    """Standard error of the mean over probes: 0 for an exact spectrum, NaN for a single probe."""
    if spectrum.exact:
        return 0.0
    return float(per_probe.std(ddof=1) / math.sqrt(per_probe.size)) if per_probe.size > 1 else math.nan
