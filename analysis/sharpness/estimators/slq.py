"""Stochastic Lanczos quadrature: from products with random probes to a spectral quadrature."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor

from analysis.errors import AnalysisError, UndefinedMeasureError
from analysis.measures import HEADLINE_ORDERS
from analysis.seeding import derive_seed
from analysis.sharpness.estimators.lanczos import Lanczos, Tridiagonal
from analysis.sharpness.hessian import HessianBlock
from analysis.sharpness.linalg import BlockOperator, eigvalsh
from analysis.spectrum.entropy import FloatArray
from analysis.spectrum.quadrature import SpectralQuadrature
from analysis.spectrum.rules import Companion, Ending, Role, Rule, is_indefinite

# How far from zero the eigenvalues of null directions lie, relative to the largest node, in units of round-off: of the
# operator's dtype by its products (2e-7 in float32 on trained networks), of float64 by the dense eigensolver.
PRODUCT_NOISE, SOLVER_NOISE = 2.0, 20.0
MEMORY_LIMIT = 4 * 2**30  # bytes
VECTORS_SHARE = 0.25  # of a memory budget, what the vectors kept may take; factors and passes take at most 0.7
ROWS_AT_ONCE = 256  # rows of the identity that a dense spectrum multiplies at a time

PAPER_NUM_PROBES, PAPER_NUM_MATVECS = 100, 15  # the paper's l and m (appendix G.4)
PAIRED_NUM_PROBES = 8  # fewest; the standard error of fewer is too uncertain for a stopping rule
PAIRED_NUM_MATVECS = {"high": 15, "low": 50}  # for orders from LOW on, and below
LOW = 0.9


@dataclass(frozen=True)
class Effort:
    """How good an estimate must be, and how much it may cost."""

    orders: Sequence[float] = HEADLINE_ORDERS  # whose entropies must meet the tolerance
    tolerance: float = 0.02  # nats, for standard error and truncation both
    num_probes: int | None = None  # fixed, instead of as many as the tolerance needs
    num_matvecs: int | None = None  # Lanczos steps a probe, fixed, instead of as many as the tolerance needs
    max_products: int = 1000  # most matrix-vector products
    memory_limit: int = MEMORY_LIMIT  # bytes that the vectors kept may take

    def room(self, operator: BlockOperator) -> int:
        """How many vectors of the operator's size the memory limit holds."""
        return self.memory_limit // (operator.dim * operator.dtype.itemsize)

    def error(self, quadrature: SpectralQuadrature) -> tuple[float, float]:
        """Largest standard error and truncation over the orders, in nats; infinite where there is one probe only.

        A zero matrix has no entropy, which more products would not change: no error.
        """
        if not quadrature.nodes.any():
            return 0.0, 0.0
        entropies = [quadrature.renyi_entropy(order) for order in self.orders]
        stderr = max(math.inf if math.isnan(entropy.stderr) else entropy.stderr for entropy in entropies)
        return stderr, max(quadrature.truncation(order) for order in self.orders)

    def more_probes(self, num_probes: int, stderr: float) -> int:
        """How many probes to add: as many as the standard error asks for, at most as many again; 0 if it is met."""
        if self.num_probes is not None or stderr <= self.tolerance:
            return 0
        if math.isinf(stderr):
            return num_probes
        return min(math.ceil(num_probes * (stderr / self.tolerance) ** 2) - num_probes, num_probes)

    def ending(self, stderr: float, truncation: float) -> Ending:
        """How an estimate with these errors ended, if memory was not what stopped it."""
        if self.num_probes is not None and self.num_matvecs is not None:
            return Ending.FIXED
        if stderr > self.tolerance:
            return Ending.PRODUCTS if self.num_probes is None else Ending.FIXED
        return Ending.TOLERANCE if truncation <= self.tolerance else Ending.STEPS


def draw_probes(operator: BlockOperator, numbers: Sequence[int], seed: int, kind: str = "rademacher") -> Tensor:
    """(p, n) probes by their numbers: ±1 (`rademacher`) or standard normal entries (`gaussian`).

    Probe k of a seed is the same on every device, in every precision and however many are drawn at once, so all models
    of a sweep share it (common random numbers). Drawn on the CPU.
    """
    probes = torch.empty(len(numbers), operator.dim)
    for probe, number in zip(probes, numbers, strict=True):
        generator = torch.Generator().manual_seed(derive_seed(seed, "probe", number))
        if kind == "rademacher":
            probe.copy_(2 * torch.randint(0, 2, (operator.dim,), generator=generator, dtype=torch.int8) - 1)
        else:
            probe.normal_(generator=generator)
    return probes.to(device=operator.device, dtype=operator.dtype)


def has_gram(operator: BlockOperator) -> TypeGuard[HessianBlock]:
    """Whether the operator's spectrum is that of a Gram matrix it can form without products."""
    return isinstance(operator, HessianBlock) and operator.has_gram


def dense_bytes(operator: BlockOperator) -> int:
    """Memory of a dense eigenproblem: the matrix and its symmetric part, in float64."""
    return 2 * 8 * operator.dim**2


def exact_quadrature(operator: BlockOperator, memory_limit: int = MEMORY_LIMIT) -> SpectralQuadrature:
    """The whole spectrum: from a Gram matrix where the operator has a factor, else from a dense eigenproblem.

    Cost: that of the operator's own `exact_eigenvalues`; else n products, 2·n² float64 numbers, about 4/3·n³
    multiplications.

    Raises:
        AnalysisError: a dense matrix would take more than `memory_limit` bytes.
        UndefinedMeasureError: the matrix has NaN or infinite entries.
    """
    if has_gram(operator):
        eigenvalues = operator.exact_eigenvalues(torch.float64).cpu().numpy()
        if not np.isfinite(eigenvalues).all():
            raise UndefinedMeasureError("the Hessian has NaN or infinite entries")
        noise = noise_of(operator, eigenvalues, squared=operator.gram_in_any_precision)
        return SpectralQuadrature.from_eigenvalues(eigenvalues, operator.dim, noise)
    if dense_bytes(operator) > memory_limit:
        raise AnalysisError(
            f"the exact spectrum of {operator.dim} rows takes {dense_bytes(operator) / 2**30:.1f} GiB, more than the "
            f"memory limit of {memory_limit / 2**30:.1f} GiB; raise it, or use the estimator 'ritz'"
        )
    H = np.empty((operator.dim, operator.dim))
    for first in range(0, operator.dim, ROWS_AT_ONCE):
        size = min(ROWS_AT_ONCE, operator.dim - first)
        rows = torch.zeros(size, operator.dim, dtype=operator.dtype, device=operator.device)
        rows[:, first : first + size].fill_diagonal_(1.0)
        H[first : first + size] = operator.matmat(rows).double().cpu().numpy()
    if not np.isfinite(H).all():
        raise UndefinedMeasureError("the Hessian has NaN or infinite entries")
    eigenvalues = eigvalsh(0.5 * (H + H.T))
    return SpectralQuadrature.from_eigenvalues(
        eigenvalues, noise=noise_of(operator, eigenvalues), num_products=operator.dim
    )


def paired_quadrature(operator: BlockOperator, effort: Effort, seed: int) -> SpectralQuadrature:
    """Stochastic Lanczos quadrature whose trace comes from the same probes: without their errors' blow-up at order 1.

    Rademacher probes; 15 steps, or 50 where an order below 0.9 is asked for. At least 8 probes, and more until the
    standard error meets the tolerance. The companion rule (see `assemble`) shows the truncation error after so many
    steps; more probes don't reduce it.

    Cost: a product a probe and step. Memory: as many probes at a time as the limit holds, m + 2 vectors each.

    Raises:
        UndefinedMeasureError: the products are NaN or infinite.

    Source: Ubaru, Chen and Saad 2017, with the trace from the same quadrature.
    """
    steps = effort.num_matvecs or PAIRED_NUM_MATVECS["low" if min(effort.orders) < LOW else "high"]
    steps = min(steps, operator.dim)
    done, more = 0, effort.num_probes or PAIRED_NUM_PROBES
    at_once = max(1, effort.room(operator) // (steps + 2))
    runs: list[Tridiagonal] = []
    while True:
        for first in range(done, done + more, at_once):
            numbers = range(first, min(first + at_once, done + more))
            runs.append(Lanczos(operator, draw_probes(operator, numbers, seed)).advance(steps))
        done += more
        quadrature = assemble(operator, runs, estimator="paired", num_products=done * steps)
        if effort.num_probes is not None:
            return quadrature
        stderr, truncation = effort.error(quadrature)
        more = min(effort.more_probes(done, stderr), effort.max_products // steps - done)
        if more <= 0:
            return replace(quadrature, ending=effort.ending(stderr, truncation))


def paper_quadrature(operator: BlockOperator, effort: Effort, seed: int) -> SpectralQuadrature:
    """The paper's Algorithm 1 as printed, with its bias and its blow-up near order 1: kept to replicate, not to use.

    l = 100 normalized Gaussian probes, m = 15 steps of Lanczos that is not reorthogonalized and ends at β = 0 only,
    Ā = mean_k e₁ᵀ|T_k|^α e₁; as many probes g of their own for the trace, B̄ = mean gᵀHg, signed. The entropy is
    log n + 1/(1−α)·log(Ā/B̄^α): the printed line lacks log n, a constant within a layer.

    Cost: l·(m + 1) products; tolerance and `max_products` play no part.

    Raises:
        UndefinedMeasureError: the products are NaN or infinite.

    Source: Rényi Sharpness, Algorithm 1 and appendix G.4.
    """
    num_probes = effort.num_probes or PAPER_NUM_PROBES
    steps = min(effort.num_matvecs or PAPER_NUM_MATVECS, operator.dim)
    at_once = max(1, effort.room(operator) // 4)

    def rules(first: int, num_matvecs: int) -> Rule:
        """Gauss rules of `num_probes` probes, counted from `first` on."""
        runs = []
        for start in range(first, first + num_probes, at_once):
            numbers = range(start, min(start + at_once, first + num_probes))
            probes = draw_probes(operator, numbers, seed, "gaussian")
            runs.append(Lanczos(operator, probes, reorthogonalize=False).advance(num_matvecs).gauss())
        return np.concatenate([nodes for nodes, _ in runs]), np.concatenate([weights for _, weights in runs])

    nodes, weights = rules(0, steps)
    return SpectralQuadrature(
        operator.dim,
        nodes,
        weights,
        Companion(Role.TRACE, *rules(num_probes, 1)),
        num_products=num_probes * (steps + 1),
        estimator="paper",
    )


def assemble(
    operator: BlockOperator,
    runs: Sequence[Tridiagonal],
    estimator: str,
    num_products: int,
    eigenvalues: FloatArray | None = None,
) -> SpectralQuadrature:
    """The quadrature of Lanczos runs, and of `eigenvalues` that are known and were deflated from them.

    Its companion is the Gauss–Radau rule with a node at 0. Where some node is negative beyond round-off, the Gauss rule
    is the one without a node near 0 (`Tridiagonal.open_gauss`).
    """
    known = np.empty(0) if eigenvalues is None else eigenvalues
    share = 1 - known.size / operator.dim

    def stacked(rules: Sequence[Rule]) -> Rule:
        nodes = np.concatenate([nodes for nodes, _ in rules])
        weights = np.concatenate([weights for _, weights in rules])
        shape = (len(nodes), known.size)
        return (
            np.hstack([np.broadcast_to(known, shape), nodes]),
            np.hstack([np.full(shape, 1 / operator.dim), share * weights]),
        )

    nodes, weights = stacked([run.gauss() for run in runs])
    noise = noise_of(operator, nodes)
    if is_indefinite(nodes, weights, noise):
        nodes, weights = stacked([run.open_gauss() for run in runs])
    companion = Companion(Role.RADAU, *stacked([run.radau() for run in runs]))
    return SpectralQuadrature(operator.dim, nodes, weights, companion, noise, num_products, estimator)


def noise_of(operator: BlockOperator, nodes: FloatArray, squared: bool = False) -> float:
    """The magnitude below which a node of the operator can't be distinguished from zero: round-off of the largest.

    `squared`: the nodes are squares of the singular values of a factor that has the operator's precision, from a Gram
    matrix in float64.
    """
    product = PRODUCT_NOISE * torch.finfo(operator.dtype).eps
    relative = (product**2 if squared else product) + SOLVER_NOISE * torch.finfo(torch.float64).eps
    return relative * float(np.abs(nodes).max())
