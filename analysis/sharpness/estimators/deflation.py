"""Ritz-deflated quadrature: the eigenvalues that Lanczos finds are counted exactly, and only the rest is probed."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from analysis.sharpness.estimators.lanczos import Lanczos, Tridiagonal
from analysis.sharpness.estimators.slq import Effort, assemble, draw_probes, noise_of
from analysis.sharpness.linalg import BlockOperator
from analysis.spectrum.entropy import FloatArray, entropy_influence
from analysis.spectrum.quadrature import SpectralQuadrature
from analysis.spectrum.rules import Ending

DEFLATION_MATVECS = 75  # first steps of the run that looks for eigenvalues
NUM_PROBES = 5  # fewest probes of the rest
NUM_MATVECS = 15  # first steps of each
MARGIN = 2.0  # forecasts from the one run are rough: times this, they must meet the tolerance
# A Ritz pair's residual, relative to its value, below which it counts as an eigenpair: its value then errs by about the
# square, 0.25 %, and deflating it lowers the variance. At 1e-3 errors at 150 products were up to 1.5 times as large.
CONVERGED = 0.05
START = -1  # the probe number of the vector from which eigenvalues are looked for


@dataclass(frozen=True)
class Deflation:
    """Eigenpairs to which one Lanczos run has converged."""

    eigenvalues: FloatArray  # (k,)
    vectors: Tensor  # (k, n) orthonormal rows
    num_products: int


def ritz_quadrature(
    operator: BlockOperator, effort: Effort, seed: int, deflation_matvecs: int | None = None
) -> SpectralQuadrature:
    """Deflated stochastic Lanczos quadrature: the default estimator.

    One Lanczos run of M steps gives the k Ritz pairs whose residual is at most 0.05·|θ|. They enter exactly, each with
    weight 1/n. Probes uniform on the unit sphere of their orthogonal complement, with m Lanczos steps each (projected
    back at every step), measure the rest with weight (n − k)/n. Trace and powers come from the same decomposition.

    M grows by halves, up to half of `max_products`, until the run's own truncation forecasts that of the probes to meet
    the tolerance, and its own spectrum that the probes will cost less than it did. Then m grows by halves until the
    truncation meets the tolerance; then probes are added until the standard error does, or `max_products` are spent.
    What `effort` or `deflation_matvecs` fixes does not grow, nor does M where the probes are fixed.

    Cost: M + l·m products (75 + 5·15 at first), M·(M + k)·n + l·m·(m + k)·n multiplications. Memory: M + k vectors,
    then k + l·m; growth stops where the limit would be passed.

    Args:
        operator: the matrix, indefinite or not.
        effort: tolerance, orders and limits.
        seed: of the probes; the same for all models that are to be compared.
        deflation_matvecs: M, fixed.

    Raises:
        UndefinedMeasureError: the products are NaN or infinite.

    Source: Ritz deflation after Saad 2011, §6; quadrature as in `paired_quadrature`.
    """
    deflation = _deflate(operator, effort, seed, deflation_matvecs)
    if len(deflation.eigenvalues) == operator.dim:
        noise = noise_of(operator, deflation.eigenvalues)
        return SpectralQuadrature.from_eigenvalues(
            deflation.eigenvalues, noise=noise, num_products=deflation.num_products
        )
    rest = _Rest(operator, effort, seed, deflation)
    blocked = rest.lengthen()
    rest.add_probes()
    quadrature = rest.quadrature()
    ending = effort.ending(*effort.error(quadrature))
    return replace(quadrature, ending=blocked if ending is Ending.STEPS else ending)


class _Rest:
    """The probes of the spectrum that a deflation leaves, and how their number and length grow."""

    def __init__(self, operator: BlockOperator, effort: Effort, seed: int, deflation: Deflation) -> None:
        self._operator, self._effort, self._seed, self._deflation = operator, effort, seed, deflation
        self._dim = operator.dim - len(deflation.eigenvalues)
        self._room = effort.room(operator) - len(deflation.eigenvalues)
        self._steps = min(effort.num_matvecs or NUM_MATVECS, self._dim)
        self._num_probes = effort.num_probes or NUM_PROBES
        self._runs: list[Tridiagonal] = []

    def quadrature(self) -> SpectralQuadrature:
        """The quadrature from the probes and the deflated eigenvalues together."""
        spent = self._deflation.num_products + self._num_probes * self._steps
        return assemble(self._operator, self._runs, "ritz", spent, self._deflation.eigenvalues)

    def lengthen(self) -> Ending:
        """Lengthen the first probes until the truncation meets the tolerance; return what stopped them before that."""
        effort, probes = self._effort, self._lanczos(range(self._num_probes))
        while True:
            self._runs = [probes.advance(self._steps)]
            quadrature = self.quadrature()
            longer = min(self._steps + self._steps // 2, self._dim)
            if effort.error(quadrature)[1] <= effort.tolerance or effort.num_matvecs or longer == self._steps:
                return Ending.STEPS
            if quadrature.num_products + self._num_probes * (longer - self._steps) > effort.max_products:
                return Ending.PRODUCTS
            if self._num_probes * longer > self._room:
                return Ending.MEMORY
            self._steps = longer

    def add_probes(self) -> None:
        """Add probes of the same length until the standard error meets the tolerance, or all products are spent."""
        at_once = max(1, self._room // self._steps)
        while True:
            quadrature = self.quadrature()
            wanted = self._effort.more_probes(self._num_probes, self._effort.error(quadrature)[0])
            affordable = (self._effort.max_products - quadrature.num_products) // self._steps
            more = min(wanted, affordable, at_once)
            if more <= 0:
                return
            numbers = range(self._num_probes, self._num_probes + more)
            self._runs.append(self._lanczos(numbers).advance(self._steps))
            self._num_probes += more

    def _lanczos(self, numbers: range) -> Lanczos:
        probes = draw_probes(self._operator, numbers, self._seed, "gaussian")
        return Lanczos(self._operator, probes, deflated=self._deflation.vectors)


def _deflate(operator: BlockOperator, effort: Effort, seed: int, deflation_matvecs: int | None) -> Deflation:
    """Run Lanczos from one vector until probing the rest of the spectrum costs no more than this run did."""
    run = Lanczos(operator, draw_probes(operator, [START], seed, "gaussian"))
    steps = min(deflation_matvecs or DEFLATION_MATVECS, operator.dim)
    most = min(effort.max_products // 2, effort.room(operator) // 2, operator.dim)
    tridiagonal = run.advance(steps)
    while deflation_matvecs is None and effort.num_probes is None and steps + steps // 2 <= most:
        _, truncation = effort.error(assemble(operator, [tridiagonal], "ritz", steps))
        probes = _expected_probes(tridiagonal, operator.dim, effort)
        if MARGIN * truncation <= effort.tolerance and MARGIN * probes <= max(NUM_PROBES, steps / NUM_MATVECS):
            break
        steps += steps // 2
        tridiagonal = run.advance(steps)
    eigenvalues, vectors = tridiagonal.ritz_pairs(CONVERGED)
    basis = run.basis()[0]
    coefficients = torch.from_numpy(vectors.T).to(device=basis.device, dtype=basis.dtype)
    return Deflation(eigenvalues, coefficients @ basis, num_products=steps)


def _expected_probes(tridiagonal: Tridiagonal, dim: int, effort: Effort) -> float:
    """How many probes of what has not converged would meet the tolerance, estimated from this run's own quadrature.

    A probe uniform on the sphere of r dimensions has variance 2·(Σ g² − (Σ g)²/r) about Σ g, g the entropy's influence
    of an eigenvalue, to first order in 1/r.
    """
    nodes, weights = tridiagonal.gauss()
    known, _ = tridiagonal.ritz_pairs(CONVERGED)
    rest = ~np.isin(nodes[0], known)
    counts = np.where(rest, dim * weights[0], 1.0)
    total = float((counts * np.abs(nodes[0])).sum())
    if total == 0 or known.size == dim:
        return 0.0
    p = np.abs(nodes[0]) / total
    expected = 0.0
    for order in effort.orders:
        influence = entropy_influence(p, counts, order)
        mean = float((counts * influence)[rest].sum()) / (dim - known.size)
        variance = 2 * float((counts * (influence - mean) ** 2)[rest].sum())
        expected = max(expected, variance / effort.tolerance**2)
    return expected
